// Serves S3 with one bucket, on a free port when that is 0, and says in a line of JSON where. Ends with its stdin.

import S3rver from "@20minutes/s3rver";

const [directory, bucket, port] = process.argv.slice(2);
const server = new S3rver({
  address: "127.0.0.1",
  port: Number(port),
  directory,
  silent: true,
  allowMismatchedSignatures: false,
  configureBuckets: [{ name: bucket, configs: [] }],
});
const address = await server.run();
console.log(JSON.stringify({ url: `http://127.0.0.1:${address.port}` }));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
