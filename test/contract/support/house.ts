import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newStateDir, startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../support/scripted-provider.ts';

export interface House extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly provider: ScriptedProvider;
}

/** The real product with a scripted model server behind it, a file `notes.md` in the workspace, and the HTTP API on. */
export async function openHouse(extra: Readonly<Record<string, unknown>> = {}): Promise<House> {
  const provider = await startScriptedProvider({ seed: 20_261_124 });
  const stateDir = newStateDir();
  const workspace = join(stateDir, 'workspace');
  mkdirSync(workspace, { recursive: true });
  writeFileSync(join(workspace, 'notes.md'), 'marker-tool-content-42\n');
  const model = (id: string, name: string, reasoning: boolean) => ({ id, name, reasoning, input: ['text'], contextWindow: 128_000 });
  const config = {
    gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } },
    models: {
      mode: 'replace',
      providers: {
        stub: {
          baseUrl: provider.url,
          apiKey: 'test-key',
          api: 'openai-completions',
          models: [model('stub-model', 'Stub', false), model('stub-think', 'StubThink', true)],
        },
      },
    },
    agents: { defaults: { model: { primary: 'stub/stub-model' }, workspace } },
    ...extra,
  };
  try {
    const gateway = await startTestGateway({ config: JSON.stringify(config), stateDir });
    return {
      gateway,
      provider,
      async [Symbol.asyncDispose]() {
        await gateway[Symbol.asyncDispose]();
        await provider.close();
        rmSync(stateDir, { recursive: true, force: true });
      },
    };
  } catch (thrown) {
    await provider.close();
    throw thrown;
  }
}
