'use strict';
// Preloaded into the gateway under attack (NODE_OPTIONS=--require): measures how late its event loop is, where a client on
// a busy machine cannot. Two records, from the main thread's schedstat: `wall` is lateness without what the kernel made it
// wait for a core; `ran` is the processor time that it used meanwhile, which a busy machine does not change, but which sees
// no wait for a disk. Every half second both go to OCG_LOOP_PROBE as JSON. Who makes a file `.ask` beside it gets the two worst
// since it was last asked in `.worst`, at the next tick.
const fs = require('node:fs');
const file = process.env.OCG_LOOP_PROBE;
if (file && require('node:worker_threads').isMainThread && process.argv.includes('gateway')) {
  const EVERY_MS = 5;
  const stat = `/proc/${process.pid}/task/${process.pid}/schedstat`;
  const fd = fs.openSync(stat, 'r');
  const buffer = Buffer.alloc(128);
  /** Processor time used, and time waited for a processor, ms. */
  const schedstat = () => {
    const [ran, waited] = buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, 128, 0)).split(' ');
    return { ran: Number(ran) / 1e6, waited: Number(waited) / 1e6 };
  };
  // In steps of 1 ms; the last step is everything beyond.
  const fresh = () => ({ ticks: 0, worst: 0, steps: new Array(2001).fill(0) });
  let wall = fresh();
  let ran = fresh();
  const note = (record, ms) => {
    record.ticks++;
    record.steps[Math.min(2000, Math.round(ms))]++;
    if (ms > record.worst) record.worst = ms;
  };
  let worst = { wall: 0, ran: 0 };
  let last = performance.now();
  let before = schedstat();
  let written = 0;
  setInterval(() => {
    const now = performance.now();
    const used = schedstat();
    const late = Math.max(0, now - last - EVERY_MS - (used.waited - before.waited));
    note(wall, late);
    note(ran, Math.min(late, used.ran - before.ran));
    worst.wall = Math.max(worst.wall, late);
    worst.ran = Math.max(worst.ran, Math.min(late, used.ran - before.ran));
    if (fs.existsSync(`${file}.ask`)) {
      fs.writeFileSync(`${file}.worst`, JSON.stringify(worst));
      fs.unlinkSync(`${file}.ask`);
      worst = { wall: 0, ran: 0 };
    }
    if (now - written > 500) {
      written = now;
      if (fs.existsSync(`${file}.reset`)) {
        fs.unlinkSync(`${file}.reset`);
        wall = fresh();
        ran = fresh();
      }
      fs.writeFileSync(`${file}.tmp`, JSON.stringify({ wall, ran }));
      fs.renameSync(`${file}.tmp`, file);
    }
    last = performance.now();
    before = schedstat();
  }, EVERY_MS).unref();
}
