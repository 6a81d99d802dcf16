import { defineConfig } from '../../src/index.ts';

export default defineConfig({
  command: ['node', 'server.mjs'],
  state: ['count.db'],
});
