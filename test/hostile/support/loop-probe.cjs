'use strict';
// Preloaded into the gateway under attack (NODE_OPTIONS=--require): measures how late its event loop is, where a client on
// a busy machine cannot. What the kernel made the main thread wait for a core is taken out (schedstat), so the figure is
// about this program and not about its neighbours. Every half second the whole record goes to OCG_LOOP_PROBE as JSON.
const fs = require('node:fs');
const file = process.env.OCG_LOOP_PROBE;
if (file && require('node:worker_threads').isMainThread && process.argv.includes('gateway')) {
  const EVERY_MS = 5;
  const stat = `/proc/${process.pid}/task/${process.pid}/schedstat`;
  const fd = fs.openSync(stat, 'r');
  const buffer = Buffer.alloc(128);
  const waitedMs = () => Number(buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, 128, 0)).split(' ')[1]) / 1e6;
  // Lateness in steps of 1 ms; the last step is everything beyond.
  const steps = new Array(2001).fill(0);
  let last = performance.now();
  let waited = waitedMs();
  let ticks = 0;
  let worst = 0;
  let written = 0;
  const write = () => {
    fs.writeFileSync(`${file}.tmp`, JSON.stringify({ ticks, worst, steps }));
    fs.renameSync(`${file}.tmp`, file);
  };
  setInterval(() => {
    const now = performance.now();
    const waitedNow = waitedMs();
    const late = Math.max(0, now - last - EVERY_MS - (waitedNow - waited));
    ticks++;
    steps[Math.min(2000, Math.round(late))]++;
    if (late > worst) worst = late;
    if (now - written > 500) {
      written = now;
      if (fs.existsSync(`${file}.reset`)) {
        fs.unlinkSync(`${file}.reset`);
        steps.fill(0);
        ticks = 0;
        worst = 0;
      }
      write();
    }
    last = performance.now();
    waited = waitedMs();
  }, EVERY_MS).unref();
}
