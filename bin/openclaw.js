#!/usr/bin/env node
'use strict';
// Everything here runs before we know which Node this is, so: CommonJS and syntax of Node 10 (no `?.`, no `??`, no ESM).
// The work itself is in dist/, a bundle that `npm run build` makes.

const path = require('path');

const NEED = [24, 15];
const ROOT = path.join(__dirname, '..');
const ENTRY = path.join(ROOT, 'dist', 'cli.cjs');

// All that this program makes is its owner's alone; what is meant for others is given to them by name.
if (process.platform !== 'win32') process.umask(0o077);

const args = process.argv.slice(2);
const SERVES = servesGateway(args);
const STOPS = ['SIGTERM', 'SIGINT', 'SIGHUP'];
if (SERVES && process.platform !== 'win32') keepRestartSignal();
// Nothing is open yet: to stop is to leave. Once the gateway listens itself, it decides.
if (SERVES && isNewEnough(process.versions.node)) {
  for (const signal of STOPS) process.on(signal, () => process.listenerCount(signal) === 1 && process.exit(0));
}
if (isNewEnough(process.versions.node)) start();
else runUnder(pinnedNode());

function start() {
  useCompileCache();
  try {
    require(ENTRY);
  } catch (error) {
    if (error.code !== 'MODULE_NOT_FOUND' || require('fs').existsSync(ENTRY)) throw error;
    fail('The program has not been built yet.', 'cd ' + ROOT + ' && npm run build');
  }
}

// `gateway` and `gateway run` with any flags; `gateway status` and the like are clients.
function servesGateway(argv) {
  const at = argv.indexOf('gateway');
  if (at === -1 || argv.indexOf('--help') !== -1 || argv.indexOf('-h') !== -1) return false;
  const next = argv[at + 1];
  return next === undefined || next === 'run' || next.charAt(0) === '-';
}

// SIGUSR1 is the gateway's restart signal, and Node's "open a debugger". Sent before this line it has opened one, a port
// through which any local user runs code here: close it, twice, because Node opens it twice. From here on the signal is
// ours; the gateway's own handler joins later. (`--disable-sigusr1` is no way out: it keeps the signal blocked for good.)
function keepRestartSignal() {
  process.on('SIGUSR1', () => {});
  const asked = process.execArgv
    .concat((process.env.NODE_OPTIONS || '').split(' '))
    .some((flag) => /^--inspect(-brk|-wait)?(=|$)/.test(flag));
  if (asked) return;
  const inspector = require('inspector');
  const close = () => inspector.url() !== undefined && inspector.close();
  close();
  setImmediate(close);
  setTimeout(close, 50).unref();
}

function isNewEnough(version) {
  const parts = version.split('.').map(Number);
  return parts[0] > NEED[0] || (parts[0] === NEED[0] && parts[1] >= NEED[1]);
}

// The Node that `npm ci` brought along (workspace tools/node), wherever npm put it. Never looked for elsewhere.
function pinnedNode() {
  const windows = process.platform === 'win32';
  const name = 'node-' + (windows ? 'win' : process.platform) + '-' + process.arch;
  const places = [path.join(ROOT, 'node_modules'), path.join(ROOT, 'tools', 'node', 'node_modules')];
  if (path.basename(path.dirname(ROOT)) === 'node_modules') places.push(path.dirname(ROOT));
  return places.map((place) => path.join(place, name, 'bin', windows ? 'node.exe' : 'node')).find(require('fs').existsSync);
}

// An old Node cannot replace itself, so it stays as a parent that passes signals down and the exit code up.
function runUnder(node) {
  if (node === undefined) needNode();
  // Ctrl-C and a closing terminal reach the whole foreground group by themselves; passing them on would deliver them twice.
  const fromTerminal = require('tty').isatty(0) ? ['SIGINT', 'SIGQUIT', 'SIGHUP'] : [];
  const passed = [];
  let child;
  ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGTERM', 'SIGUSR1', 'SIGUSR2'].forEach((signal) => {
    if (process.platform === 'win32' && signal !== 'SIGINT' && signal !== 'SIGTERM') return;
    process.on(signal, () => {
      passed.push(signal);
      if (child !== undefined && fromTerminal.indexOf(signal) === -1) child.kill(signal);
    });
  });
  const run = () => {
    child = require('child_process').spawn(node, [__filename].concat(args), { stdio: 'inherit' });
    child.on('error', (error) => needNode(node + ' does not start: ' + error.message));
    child.on('exit', (code, signal) => {
      if (signal === null) process.exit(code);
      // It died of what was passed down before it could listen, so nothing was open: a stop is done, a restart is a fresh start.
      if (SERVES && passed.indexOf(signal) !== -1) {
        if (passed.some((each) => STOPS.indexOf(each) !== -1)) process.exit(0);
        if (signal === 'SIGUSR1') return run();
      }
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
  };
  run();
}

function needNode(why) {
  const isClone = require('fs').existsSync(path.join(ROOT, 'package-lock.json'));
  const brings = isClone && process.platform !== 'darwin';
  fail(
    'This is Node ' + process.versions.node + '; OpenClaw Gateway needs ' + NEED.join('.') + ' or newer.' + (why ? ' ' + why : ''),
    brings ? 'cd ' + ROOT + ' && npm ci    (brings its own Node)' : 'install Node 24 or newer (nodejs.org, or: brew install node@24)',
  );
}

function fail(what, fix) {
  process.stderr.write('openclaw: ' + what + '\n  Fix: ' + fix + '\n');
  process.exit(1);
}

// Compiled code is kept in the state dir, and only where the gateway has made its private directory already. A profile
// given as a flag shares the cache of the default one: it is a cache of this program's own files.
function useCompileCache() {
  const env = process.env;
  if (!/^[A-Za-z0-9_-]{0,32}$/.test(env.OPENCLAW_PROFILE || '')) return;
  const home = env.OPENCLAW_HOME || env.HOME || env.USERPROFILE;
  const state = env.OPENCLAW_STATE_DIR || (home && path.join(home, '.openclaw' + (env.OPENCLAW_PROFILE ? '-' + env.OPENCLAW_PROFILE : '')));
  if (!state || !path.isAbsolute(state)) return;
  const gateway = path.join(state, 'gateway');
  try {
    const stat = require('fs').lstatSync(gateway);
    const mine = process.getuid === undefined || (stat.uid === process.getuid() && (stat.mode & 0o077) === 0);
    if (stat.isDirectory() && mine) require('module').enableCompileCache(path.join(gateway, 'compile-cache'));
  } catch (_) {
    // No state dir yet: nothing to keep a cache in.
  }
}
