// Reads {"secret", "headers", "body"} from stdin, and answers {"verified": the parsed body} or {"refused": the reason}.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
let answer;
try {
  answer = { verified: new Webhook(secret).verify(body, headers) };
} catch (error) {
  answer = { refused: error.message };
}
process.stdout.write(JSON.stringify(answer));
