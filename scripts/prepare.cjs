// What `npm ci` runs at its end, in the syntax of old Nodes: builds, or says plainly why it cannot. An old Node gets here
// only where none came along (macOS); it would answer scripts/build.ts with a stack trace about file extensions.
if (Number(process.versions.node.split('.')[0]) >= 24) import('./build.ts');
else {
  console.error(
    'OpenClaw Gateway needs Node 24.15 or newer, this is ' +
      process.versions.node +
      '.\n  Fix: brew install node@24 (or nodejs.org), then npm ci again',
  );
  process.exitCode = 1;
}
