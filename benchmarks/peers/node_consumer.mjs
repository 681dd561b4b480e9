// A simple consumer in Node: `node --experimental-websocket node_consumer.mjs URL PORT`.
// Events of a WebSocket or an event stream are counted at http://127.0.0.1:PORT/metrics.
import http from "node:http";

const [url, port] = process.argv.slice(2);
const counts = new Map();

function count(text) {
  const { project, event_type, severity } = JSON.parse(text).data;
  const labels = `project="${project}",event_type="${event_type}",severity="${severity}"`;
  counts.set(labels, (counts.get(labels) ?? 0) + 1);
}

http
  .createServer((_, response) => {
    let text = "# TYPE events_total counter\n";
    for (const [labels, value] of counts) text += `events_total{${labels}} ${value}\n`;
    response.end(text);
  })
  .listen(Number(port), "127.0.0.1");

if (url.startsWith("ws")) {
  new WebSocket(url).onmessage = (message) => count(message.data);
} else {
  http.get(url, (response) => {
    let rest = "";
    response.setEncoding("utf8");
    response.on("data", (piece) => {
      const lines = (rest + piece).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) count(line.slice(6));
    });
  });
}
