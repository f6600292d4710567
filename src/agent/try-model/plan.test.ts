import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { installTryModel, removeTryModel } from './install.ts';
import { describePython, isTryModelInstalled, planTryModel, type TryModelPlace } from './plan.ts';

/** A PATH on which `python3` says what a test wants. */
function place(dir: string, script: string | undefined): TryModelPlace {
  const bin = path.join(dir, 'bin');
  fs.mkdirSync(bin, { recursive: true });
  if (script !== undefined) fs.writeFileSync(path.join(bin, 'python3'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { modelsDir: path.join(dir, 'models'), assetsDir: path.join(dir, 'assets'), env: { PATH: bin } };
}

test.skipIf(process.platform === 'win32').each([
  [undefined, 'PYTHON_MISSING', 'python3'],
  ['echo 3.8.1 True', 'PYTHON_OLD', 'python3'],
  ['echo 3.12.0 False', 'PYTHON_VENV_MISSING', 'python3-venv'],
  ['exit 3', 'PYTHON_MISSING', 'python3'],
])('AG-80 Python %j is %s, said with its fix, and nothing is touched', async (script, code, fix) => {
  using dir = tempDir();
  const at = place(dir.path, script);
  const plan = await planTryModel(at);
  expect(plan).toMatchObject({ installed: false, downloadBytes: 130_000_000, python: { ok: false, error: { code } } });
  expect(plan.python.ok || plan.python.error.fix).toContain(process.platform === 'linux' ? fix : '');
  expect(await installTryModel(at)).toMatchObject({ ok: false, error: { code } });
  expect(fs.existsSync(at.modelsDir)).toBe(false);
  expect((await describePython(at.env)).found).toBe(false);
});

test.skipIf(process.platform === 'win32')(
  'WS-73 who asks while Python is looked for gets the same answer; who asks later, a new one',
  async () => {
    using dir = tempDir();
    const asked = path.join(dir.path, 'asked');
    const at = place(dir.path, `echo x >> ${asked}; echo 3.12.0 True`);
    const plans = await Promise.all(Array.from({ length: 50 }, () => planTryModel(at)));
    expect(plans.every(({ python }) => python.ok)).toBe(true);
    expect(fs.readFileSync(asked, 'utf8')).toBe('x\n');
    await planTryModel(at);
    expect(fs.readFileSync(asked, 'utf8')).toBe('x\nx\n');
  },
);

test.skipIf(process.platform === 'win32')(
  'AG-80 an attempt that fails leaves nothing that counts, and neither does one that was cut',
  async () => {
    using dir = tempDir();
    // Makes the environment, and fails at the first package.
    const at = place(
      dir.path,
      'case "$*" in *"-m venv"*) /bin/mkdir -p "$4/bin"; printf "#!/bin/sh\\necho no route to index >&2; exit 1\\n" > "$4/bin/python"; /bin/chmod +x "$4/bin/python";; *) echo 3.12.1 True;; esac',
    );
    fs.mkdirSync(path.join(at.modelsDir, 'smollm2.abc.part'), { recursive: true });
    const steps: string[] = [];
    const result = await installTryModel(at, { onProgress: ({ step, steps: of, text }) => steps.push(`${step}/${of} ${text}`) });
    expect(result).toMatchObject({
      ok: false,
      error: { code: 'TRY_MODEL_INSTALL', message: expect.stringContaining('no route to index') },
    });
    expect(steps[0]).toBe('1/4 Making a Python environment');
    expect(fs.readdirSync(at.modelsDir)).toEqual([]);
    expect(isTryModelInstalled(at)).toBe(false);
    expect(removeTryModel(at)).toBe(false);
  },
);
