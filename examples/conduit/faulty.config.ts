// One of the four copies lies now and then: see what Spare does about it.
import { defineConfig } from '../../src/index.ts';

export default defineConfig({
  command: ['node', 'server.mjs'],
  state: ['conduit.db'],
  variants: [{}, { command: ['node', 'faulty-reply.mjs'] }, {}, {}],
});
