import { expect, test } from 'vitest';
import { stateDir } from '../config/testing.ts';
import { agentSettings } from './agent-settings.ts';

test('CF-11 the agents that another version wrote as entries are agents', async () => {
  using state = stateDir('{ agents: { list: [{ id: "main" }], entries: { main: { name: "twice" }, ops: { name: "Ops" } } } }');
  const { config } = await agentSettings(await state.snapshot());
  expect(config.agents.map(({ id, name }) => [id, name])).toEqual([
    ['main', 'OpenClaw'],
    ['ops', 'Ops'],
  ]);
});
