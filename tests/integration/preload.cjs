// Loaded before the seed's test server, whose file stays as it is: another pace, an end, a free port, a record.
//
//   PACE_MS   how long an interval of 5 s takes; 5000 leaves it alone
//   MESSAGES  after how many messages the server falls silent, with the connection kept open
//
// Prints one JSON object per line: {"port": N} when listening, {"wrote": "..."} for each piece of a stream.
'use strict';
const http = require('node:http');
const net = require('node:net');

const pace = Number(process.env.PACE_MS);
const messages = Number(process.env.MESSAGES);
const report = (fact) => console.log(JSON.stringify(fact));

const setIntervalAsEver = global.setInterval;
global.setInterval = (callback, delay, ...rest) => {
  if (delay !== 5000) return setIntervalAsEver(callback, delay, ...rest);
  let sent = 0;
  let last = 0;
  const timer = setIntervalAsEver(() => {
    // On a busy machine two timers can fire within a millisecond, and the server makes its event ids of milliseconds.
    if (Date.now() - last < 5) return;
    last = Date.now();
    callback(...rest);
    sent += 1;
    if (sent === messages) clearInterval(timer);
  }, pace);
  return timer;
};

const listenAsEver = net.Server.prototype.listen;
net.Server.prototype.listen = function listen(_port, ...rest) {
  this.once('listening', () => report({ port: this.address().port }));
  return listenAsEver.call(this, 0, '127.0.0.1', ...rest);
};

const writeAsEver = http.ServerResponse.prototype.write;
http.ServerResponse.prototype.write = function write(chunk, ...rest) {
  report({ wrote: chunk.toString() });
  return writeAsEver.call(this, chunk, ...rest);
};
