import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { mask, unmask } from './bufferutil.ts';

const byte = fc.integer({ min: 0, max: 255 });

test('WS-22 masks and unmasks as RFC 6455 says, however the bytes lie in memory', () => {
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 70 }), fc.tuple(byte, byte, byte, byte), fc.nat(7), fc.nat(7), (data, key, shift, offset) => {
      const said = data.map((each, i) => each ^ (key[i & 3] as number));
      const place = Buffer.from(new ArrayBuffer(100), shift, data.length);
      place.set(data);
      unmask(place, Buffer.from(key));
      expect([...place]).toEqual(said);
      const output = Buffer.from(new ArrayBuffer(120), shift, offset + data.length);
      mask(Buffer.from(data), Buffer.from(key), output, offset, data.length);
      expect([...output.subarray(offset)]).toEqual(said);
      mask(output.subarray(0, data.length), Buffer.from(key), output.subarray(0, data.length), 0, data.length);
    }),
  );
});
