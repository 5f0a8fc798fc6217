// A caller's program that uses the npm package `midjourney`: orders come as lines of JSON on stdin, and what became of
// them goes to stdout.
//
// The library sends a fixed session id with its presses, and the local Discord, like Discord's documentation, wants that
// of a live session. A WebSocket that hears READY first hands the session's own id to the library's configuration.

import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);

// The library talks on stdout, which is ours for answers.
console.log = console.info = console.error;

const { Midjourney } = require("midjourney");
const WebSocket = require("isomorphic-ws");

const say = (event, fields = {}) =>
  process.stdout.write(
    JSON.stringify({ event, at: Number(process.hrtime.bigint()), ...fields }) + "\n",
  );

let client;

class Listening extends WebSocket {
  constructor(url) {
    super(url);
    const hear = ({ data }) => {
      const message = JSON.parse(data);
      if (message.t !== "READY") return;
      client.config.SessionId = message.d.session_id;
      this.removeEventListener("message", hear);
    };
    this.addEventListener("message", hear);
  }
}

// Which call a nonce belongs to is known where the library hands it on.
const current = new AsyncLocalStorage();

function tellNonces(api) {
  const imagine = api.ImagineApi.bind(api);
  const custom = api.CustomApi.bind(api);
  api.ImagineApi = (prompt, nonce) => {
    say("pressed", { call: current.getStore(), nonce });
    return imagine(prompt, nonce);
  };
  api.CustomApi = (press) => {
    say("pressed", { call: current.getStore(), nonce: press.nonce });
    return custom(press);
  };
}

const results = new Map();

function again(of) {
  const { id, hash, content, flags } = results.get(of);
  return client.Variation({ index: 1, msgId: id, hash, content, flags });
}

async function run(order) {
  const { call } = order;
  say("asked", { call });
  try {
    const result =
      order.do === "again" ? await again(order.of) : await client.Imagine(order.prompt);
    results.set(call, result);
    say("ended", { call, url: result.uri });
  } catch (error) {
    say("ended", { call, error: String(error?.message ?? error) });
  }
}

const lines = createInterface({ input: process.stdin });
const started = (async () => {
  const [first] = await new Promise((resolve) => lines.once("line", (line) => resolve([line])));
  const place = JSON.parse(first);
  client = new Midjourney({
    ServerId: place.guild,
    ChannelId: place.channel,
    BotId: place.application,
    SalaiToken: place.token,
    DiscordBaseUrl: new URL(place.api).origin,
    WsBaseUrl: place.gateway + "?encoding=json&v=9",
    WebSocket: Listening,
    // 350 ms by default.
    ApiInterval: 0,
  });
  await client.Connect();
  tellNonces(client.MJApi);
  lines.on("line", (line) => {
    const order = JSON.parse(line);
    current.run(order.call, () => run(order));
  });
  say("ready");
})();
await started;
lines.on("close", () => process.exit(0));
