import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { attachmentFiles } from '../../store/attachments.ts';
import type { TurnRequest } from '../api.ts';
import { fs } from '../builtins.ts';
import type { KeptRequest, LoadedRequest } from '../ports.ts';
import { loadRequest } from './load-request.ts';
import { digestOf, NotBase64, takeIn } from './take-in.ts';

const request = (contents: readonly string[], more: Partial<TurnRequest> = {}): TurnRequest => ({
  runId: 'r',
  sessionKey: 'agent:main:main',
  message: 'look',
  origin: { principalId: 'owner', via: 'chat' },
  ...(contents.length > 0 && { attachments: contents.map((content, n) => ({ mimeType: 'image/png', fileName: `${n}.png`, content })) }),
  ...more,
});

const unpacked = async ({ attachments, ...request }: LoadedRequest): Promise<TurnRequest> => ({
  ...request,
  ...(attachments !== undefined && {
    attachments: await Promise.all(attachments.map(async ({ base64, ...each }) => ({ ...each, content: await base64.text() }))),
  }),
});

describe('taking a request in', () => {
  test('AG-90 what goes to disk comes back as it was sent, large or small; the digest is that of the request', async () => {
    using dir = tempDir();
    const place = path.join(dir.path, 'attachments');
    const store = attachmentFiles(place);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }), fc.constantFrom(0, 70_000), async (images, chars) => {
        const sent = request(
          images.map((bytes) => Buffer.from(bytes).toString('base64')),
          chars > 0 ? { context: [{ role: 'user', text: 'ü'.repeat(chars) }] } : {},
        );
        const taken = await takeIn(sent, chars * 2, store);
        expect(taken.digest).toBe(await digestOf(sent));
        const { request: kept, spilled, file } = taken;
        const stored = JSON.parse(JSON.stringify(spilled === undefined ? kept : { spilled, attachments: kept.attachments }));
        expect(JSON.stringify(stored).length).toBeLessThan(1_000);
        expect(await unpacked(await loadRequest(stored, file, store))).toEqual(sent);
        if (file !== undefined) await store.remove(file);
      }),
      { numRuns: 60 },
    );
    expect(fs.readdirSync(place)).toEqual([]);
    expect(fs.statSync(place).mode & 0o777).toBe(0o700);
  });

  test('AG-91 base64 of either alphabet, with blanks and without padding is read the same; anything else leaves nothing behind', async () => {
    using dir = tempDir();
    const place = path.join(dir.path, 'attachments');
    const store = attachmentFiles(place);
    const bytes = Buffer.from(Array.from({ length: 400_003 }, (_, i) => (i * 7) % 256));
    const plain = bytes.toString('base64');
    for (const content of [
      plain,
      bytes.toString('base64url'),
      plain.replace(/=+$/, ''),
      plain.replace(/.{76}/g, '$&\r\n'),
      ` \n${plain.slice(0, 5)}  \u00a0${plain.slice(5)}\n `,
    ]) {
      const { file = '' } = await takeIn(request([content]), 4, store);
      expect(fs.readFileSync(path.join(place, file), 'latin1') === plain).toBe(true);
      expect(fs.statSync(path.join(place, file)).mode & 0o777).toBe(0o600);
      await store.remove(file);
    }
    for (const bad of [
      '!',
      `${plain.slice(0, 9)}*${plain.slice(9)}`,
      `${plain}x`,
      `${plain} =`,
      'AAA===',
      'AAŁA',
      '=AAA',
      `AAAA${'\u{1F600}'}`,
    ]) {
      const wrong = request(['AAAA', bad]);
      await expect(Promise.resolve(takeIn(wrong, 4, store))).rejects.toThrow('attachments[1].content is not base64');
      await expect(digestOf(wrong)).rejects.toThrow(NotBase64);
    }
    expect(fs.readdirSync(place)).toEqual([]);
  });

  test('AG-91 nothing that is sent as an attachment takes more than a moment of the loop', async () => {
    using dir = tempDir();
    const store = attachmentFiles(path.join(dir.path, 'attachments'));
    for (const content of [
      'A'.repeat(6_600_000),
      ' '.repeat(6_600_000),
      `${' '.repeat(3_000_000)}!`,
      'A A'.repeat(2_000_000),
      `A${'='.repeat(6_000_000)}`,
    ]) {
      let worst = 0;
      let last = performance.now();
      let isOver = false;
      const tick = (): void => {
        worst = Math.max(worst, performance.now() - last);
        last = performance.now();
        if (!isOver) setImmediate(tick);
      };
      setImmediate(tick);
      await Promise.resolve(takeIn(request([content]), 4, store)).catch(() => {});
      await digestOf(request([content])).catch(() => {});
      isOver = true;
      // A quadratic look at any of these takes minutes.
      expect(worst).toBeLessThan(500);
    }
  });

  test('AG-90 what earlier versions kept is read: the content in the file, or in the request', async () => {
    using dir = tempDir();
    const store = attachmentFiles(path.join(dir.path, 'attachments'));
    async function* chunks() {
      yield Buffer.from([1, 2, 3, 4]);
    }
    const file = await store.write(chunks());
    const { attachments: _, ...body } = request([]);
    const mimeType = 'image/png';
    const load = async (attachments: KeptRequest['attachments']) => {
      const loaded = await loadRequest({ ...body, ...(attachments !== undefined && { attachments }) }, file, store);
      return (await unpacked(loaded)).attachments?.map(({ content }) => content);
    };
    expect(
      await load([
        { mimeType, bytes: 1 },
        { mimeType, bytes: 3 },
      ] as never),
    ).toEqual(['AQ==', 'AgME']);
    expect(await load([{ mimeType, content: 'BQYH' }] as never)).toEqual(['BQYH']);
  });

  test('ST-54 a file that is not what it was is an error; what no run names is swept away', async () => {
    using dir = tempDir();
    const place = path.join(dir.path, 'attachments');
    const store = attachmentFiles(place);
    expect(await store.sweep(() => false)).toBe(0);
    const { request: kept, file = '' } = await takeIn(request(['AAAA']), 4, store);
    fs.truncateSync(path.join(place, file), 1);
    await expect(loadRequest(kept, file, store)).rejects.toThrow('shorter');
    await store.remove(file);
    await expect(loadRequest(kept, file, store)).rejects.toThrow('ENOENT');
    for (const name of ['orphan', 'named']) fs.writeFileSync(path.join(place, name), 'x');
    const { file: own } = await takeIn(request(['AAAA']), 4, store);
    expect(await store.sweep((name) => name === 'named')).toBe(1);
    expect(fs.readdirSync(place).sort()).toEqual(['named', own].sort());
  });
});
