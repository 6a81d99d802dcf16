/** Do all inputs that were ever kept still do no harm, and a few thousand new ones of each target? `npm run fuzz` tries millions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCorpus, TARGETS } from './corpus.ts';
import { Mutator } from './mutate.ts';
import { Random } from './random.ts';
import type { Target } from './target.ts';

const NEW_INPUTS = 5000;

for (const name of TARGETS) {
  test(`P7: ${name}: what the fuzzer kept does no harm`, async () => {
    const { target } = (await import(`./targets/${name}.ts`)) as { target: Target };
    const corpus = readCorpus(name);
    assert.ok(corpus.length > 0, 'there is a corpus');
    for (const input of corpus) target.run(input);
    const mutator = new Mutator(new Random(1), target.words);
    for (let i = 0; i < NEW_INPUTS; i++) target.run(mutator.from(corpus));
  });
}
