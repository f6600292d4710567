import type { Fetch } from '../ports.ts';

/**
 * Images of one call to a model. In the prompt that the SDK is given each is a short mark; the body that goes out has the image in its place. Twenty
 * megabytes that the SDK makes JSON of, and the client bytes of that, hold the event loop a tenth of a second; this way they are read piece by piece.
 */
export class ImageBody {
  /** Drawn anew for each call: nobody can write it into a text of theirs. */
  readonly #mark = `image${crypto.randomUUID().replaceAll('-', '')}x`;
  readonly #images: Blob[] = [];

  /** What stands for `base64` in the prompt: base64 as well. */
  markFor(base64: Blob): string {
    return `${this.#mark}${String(this.#images.push(base64) - 1).padStart(2, '0')}x`;
  }

  /** A fetch that sends a JSON body with the images in it; its length is known before it is sent. */
  filling(fetch: Fetch): Fetch {
    return async (input, init) => {
      const body = init?.body;
      return this.#images.length === 0 || typeof body !== 'string'
        ? fetch(input, init)
        : fetch(input, { ...init, body: this.#filled(body) });
    };
  }

  #filled(body: string): Blob {
    const [head = '', ...rest] = body.split(this.#mark);
    const parts = rest.flatMap((text) => [this.#images[Number.parseInt(text, 10)] ?? '', text.slice(text.indexOf('x') + 1)]);
    return new Blob([head, ...parts]);
  }
}
