import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most tests wait for processes that they start; more at a time would need more memory than a small machine has.
    maxWorkers: 4,
    // What hangs fails; a machine that is busy with something else is slow.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
