/** What runs in the place of the agent in every domain of an enemy's group: sound, until its manager's host says otherwise. */
import { ATTACKS } from './attacks.ts';
import { Captured } from './captured.ts';

void new Captured((captured, name) => {
  const attack = ATTACKS.find((known) => known.name === name);
  if (attack === undefined) throw new Error(`There is no attack ${JSON.stringify(name)}.`);
  void attack.run(captured);
});
