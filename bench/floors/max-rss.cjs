// Loaded before a command that is measured: at its end it says, on descriptor 3, the most memory it held resident, KiB.
// From /proc, because what `getrusage` says begins with the size of whoever forked it.
const { readFileSync, writeSync } = require('node:fs');
process.on('exit', () => writeSync(3, /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]));
