import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { type LockOwner, lockState, takeInstanceLock } from './instance-lock.ts';

const me = (): LockOwner => ({ pid: process.pid, startedAt: 1_790_000_000_000, version: '0.1.0' });

/** Another process that holds the lock of `dir` until it is killed, or this test ends in whatever way (its stdin closes). */
async function holder(dir: string): Promise<{ readonly pid: number | undefined; kill(): Promise<void> } & AsyncDisposable> {
  const code = `
    const { takeInstanceLock } = await import(${JSON.stringify(path.join(import.meta.dirname, 'instance-lock.ts'))});
    const lock = takeInstanceLock(${JSON.stringify(dir)}, { pid: process.pid, startedAt: 1790000000000, version: '0.0.9' });
    if (!lock.ok) throw lock.error;
    lock.value.announce({ pid: process.pid, startedAt: 1790000000000, version: '0.0.9', port: 18789, socketPath: '/s/admin.sock' });
    process.stdout.write('held');
    process.stdin.on('end', () => process.exit()).resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = once(child, 'exit');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  await Promise.race([
    once(child.stdout, 'data'),
    exited.then(() => Promise.reject(new Error('the holder ended before it held the lock'))),
  ]);
  return { pid: child.pid, kill, [Symbol.asyncDispose]: kill };
}

test('ST-40 a second gateway is refused with the owner named; after kill -9 the lock is free within a second', async () => {
  using dir = tempDir();
  await using child = await holder(dir.path);
  const refused = takeInstanceLock(dir.path, me());
  expect(refused.ok).toBe(false);
  if (refused.ok) return;
  expect(refused.error.code).toBe('GATEWAY_RUNNING');
  expect(refused.error.message).toBe(
    `A gateway already runs on this state directory (pid ${child.pid}, version 0.0.9, port 18789, running since 2026-09-21T14:13:20.000Z, socket /s/admin.sock).`,
  );
  expect(refused.error.fix).toContain('openclaw gateway stop');
  expect(lockState(dir.path)).toMatchObject({ held: true, owner: { pid: child.pid, port: 18789 } });
  if (process.platform === 'linux') expect(lockState(dir.path).holderPid).toBe(child.pid);

  const killed = performance.now();
  await child.kill();
  const lock = takeInstanceLock(dir.path, me());
  expect(performance.now() - killed).toBeLessThan(1000);
  expect(lock.ok).toBe(true);
  if (lock.ok) lock.value.release();
});

test('ST-40 in one process too; released, it is free again and the note is gone', () => {
  using dir = tempDir();
  const first = takeInstanceLock(dir.path, me());
  const second = takeInstanceLock(dir.path, me());
  expect([first.ok, second.ok, lockState(dir.path).held]).toEqual([true, false, true]);
  if (first.ok) {
    first.value.release();
    first.value.release();
  }
  expect(lockState(dir.path)).toEqual({ held: false });
  expect(fs.readdirSync(dir.path)).toEqual(['lock.sqlite']);
  const third = takeInstanceLock(dir.path, me());
  expect(third.ok).toBe(true);
  if (third.ok) third.value.release();
});

test('ST-41 looking at the lock writes and creates nothing', () => {
  using dir = tempDir();
  expect(lockState(dir.path)).toEqual({ held: false });
  expect(fs.readdirSync(dir.path)).toEqual([]);
});

test('ST-41 a note left by an earlier gateway is no owner; a lock without a note is still a lock', async () => {
  using dir = tempDir();
  fs.writeFileSync(path.join(dir.path, 'owner.json'), JSON.stringify(me()), { mode: 0o600 });
  expect(lockState(dir.path)).toEqual({ held: false });
  await using _child = await holder(dir.path);
  fs.rmSync(path.join(dir.path, 'owner.json'));
  const refused = takeInstanceLock(dir.path, me());
  expect(refused.ok ? '' : refused.error.code).toBe('GATEWAY_RUNNING');
});
