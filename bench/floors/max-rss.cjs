// Loaded before a command that is measured: at its end it says, on descriptor 3, the most memory it held, KiB.
process.on('exit', () => require('node:fs').writeSync(3, String(process.resourceUsage().maxRSS)));
