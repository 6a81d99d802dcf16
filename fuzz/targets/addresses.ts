/** `host:port` of the configuration. */
import assert from 'node:assert/strict';
import { parseAddress } from '../../src/cli/settings.ts';
import { SpareError } from '../../src/errors.ts';
import type { Target } from '../target.ts';

export const target: Target = {
  seeds: [Buffer.from('127.0.0.1:8080'), Buffer.from('[::1]:1'), Buffer.from('8080')],
  words: ['65535', '65536', '[', ']:', '::'],
  run: (input) => {
    try {
      const { host, port } = parseAddress('listen', input.toString());
      assert.ok(Number.isInteger(port) && port >= 0 && port <= 65_535 && host !== '' && !/[[\]]/.test(host));
      return 'an address';
    } catch (error) {
      if (error instanceof SpareError && error.code === 'address-invalid') return 'refused';
      throw error;
    }
  },
};
