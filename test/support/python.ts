import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Why Python tests cannot run here, with the command that mends it. */
export function pythonMissing(): string | undefined {
  try {
    execFileSync('python3', ['-c', 'import venv, ensurepip'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'needs Python 3 with venv: apt-get install -y python3 python3-venv';
  }
}

/** A Python with the official `openai` client: the one of `OPENCLAW_TEST_MODEL_PYTHON`, else a virtual environment. */
export function openaiPython(): string {
  const given = process.env['OPENCLAW_TEST_MODEL_PYTHON'];
  return given !== undefined && given !== '' ? given : pythonWith('openai', ['openai==3.54.0']);
}

/** The Python of a virtual environment with these packages, which is made once per machine. */
export function pythonWith(name: string, packages: readonly string[]): string {
  const dir = join(tmpdir(), `ocg-${name}-${process.getuid?.() ?? 0}`);
  const python = join(dir, 'bin', 'python');
  if (!existsSync(join(dir, 'ready'))) {
    execFileSync('python3', ['-m', 'venv', dir]);
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    execFileSync('touch', [join(dir, 'ready')]);
  }
  return python;
}
