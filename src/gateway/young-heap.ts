/**
 * Keeps V8's space for young objects at the size that it has now. It doubles up to 32 MiB when much is alive at once, as in
 * a thousand handshakes, and is never given back; a gateway is no faster with it (docs/adr/0006-the-young-heap-stays-small.md).
 * Called when the start is over, which is faster with room to grow. Once is enough; again is harmless.
 */
export function keepYoungHeapSmall(): void {
  process.getBuiltinModule('node:v8').setFlagsFromString('--semi-space-growth-factor=1');
}
