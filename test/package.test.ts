import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const text = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8');

interface Manifest {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly engines?: { readonly node?: string };
}
interface Locked extends Manifest {
  readonly version?: string;
  readonly link?: boolean;
  readonly integrity?: string;
}
const manifest = JSON.parse(text('package.json')) as Manifest;
const pinned = JSON.parse(text('tools/node/package.json')) as Manifest & { version: string };
const lock = Object.entries((JSON.parse(text('package-lock.json')) as { packages: Record<string, Locked> }).packages);

describe('what gets installed', () => {
  test('nothing at run time: the bundle holds it', () => {
    expect(manifest.dependencies ?? {}).toEqual({});
  });

  test('exact versions only', () => {
    const loose = Object.entries({ ...manifest.devDependencies, ...pinned.optionalDependencies }).filter(
      ([, v]) => !/^\d+\.\d+\.\d+$/.test(v),
    );
    expect(loose).toEqual([]);
  });

  test('the lock file names no download host, and has a checksum for every package', () => {
    expect(text('package-lock.json')).not.toMatch(/"resolved": *"[a-z+]+:/);
    const unsigned = lock.filter(([place, entry]) => place.includes('node_modules/') && !entry.link && entry.integrity === undefined);
    expect(unsigned.map(([place]) => place)).toEqual([]);
  });

  // npm 11 writes no entry for an optional package that the registry at hand does not have, and then refuses its own lock file.
  test('the lock file has every optional package, also those of other platforms', () => {
    const places = new Set(lock.map(([place]) => place));
    const missing = lock.flatMap(([place, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !places.has(`${place}/node_modules/${name}`) && !places.has(`node_modules/${name}`),
      ),
    );
    expect(missing).toEqual([]);
  });

  test.each([
    ['darwin', 'arm64'],
    ['win32', 'x64'],
    ['linux', 'arm64'],
  ])('npm ci finds all it needs on %s %s', (os, cpu) => {
    const args = ['ci', '--dry-run', '--ignore-scripts', '--offline', `--os=${os}`, `--cpu=${cpu}`];
    const { status, stderr } = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8', shell: process.platform === 'win32' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

describe('which Node', () => {
  test('package.json, the launcher and the Node that comes along agree', () => {
    const needed = /NEED = \[(\d+), (\d+)\]/.exec(text('bin/openclaw.js'));
    expect(manifest.engines?.node).toBe(`>=${needed?.[1]}.${needed?.[2]}`);
    const [major = 0, minor = 0] = pinned.version.split('.').map(Number);
    expect(major).toBe(Number(needed?.[1]));
    expect(minor).toBeGreaterThanOrEqual(Number(needed?.[2]));
    expect(new Set(Object.values(pinned.optionalDependencies ?? {}))).toEqual(new Set([pinned.version]));
  });

  test('the launcher keeps to syntax that an old Node can read', () => {
    expect(text('bin/openclaw.js').replaceAll(/\/\/.*/g, '')).not.toMatch(/\?\.[a-z[(]|\?\?|^\s*(import|export)\b|\bawait\b|catch \{/m);
  });
});
