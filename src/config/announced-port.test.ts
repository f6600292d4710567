import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { announcedPort } from './announced-port.ts';
import { stateDir } from './testing.ts';

test('CL-52 the port of a running gateway is the one it announced; a note of one that ended counts for nothing', () => {
  using state = stateDir();
  const gatewayDir = join(state.dir, 'gateway');
  mkdirSync(gatewayDir);
  const note = (text: string): void => writeFileSync(join(gatewayDir, 'owner.json'), text);
  expect(announcedPort({ gatewayDir })).toBeUndefined();
  note(JSON.stringify({ pid: process.pid, port: 4711 }));
  expect(announcedPort({ gatewayDir })).toBe(4711);
  note(JSON.stringify({ pid: 2 ** 22 + 12345, port: 4711 }));
  expect(announcedPort({ gatewayDir })).toBeUndefined();
  for (const wrong of ['', '{', '[]', '{"pid":1}', '{"pid":"x","port":1}']) {
    note(wrong);
    expect(announcedPort({ gatewayDir })).toBeUndefined();
  }
});
