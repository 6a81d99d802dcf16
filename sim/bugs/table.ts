/** What became of the planted bugs, for the terminal and for `docs/`. */
import type { Outcome } from './hunt.ts';

function checkers({ catches }: Outcome): string {
  const sorted = [...catches].sort(([, a], [, b]) => b - a);
  return sorted.map(([promise, count]) => (count === 1 ? promise : `${promise} ×${count}`)).join(', ');
}

export function line(outcome: Outcome): string {
  const { bug, first, seeds, what } = outcome;
  if (first === null) return `SURVIVED  ${bug.name}: ${seeds} seeds of ${bug.scenario}`;
  const [finding = ''] = what.split('\n');
  return `caught    ${bug.name}: after ${first} of ${bug.scenario} (${checkers(outcome)} in ${seeds}): ${finding.slice(0, 100)}`;
}

function row(outcome: Outcome): string {
  const { bug, first, seeds } = outcome;
  const files = [...new Set(bug.edits.map(({ file }) => `\`${file}\``))].join(', ');
  const after = first === null ? '**survived**' : String(first);
  return `| ${[bug.name, bug.what, files, bug.breaks, bug.scenario, after, checkers(outcome), String(seeds)].join(' | ')} |`;
}

export function document(outcomes: readonly Outcome[]): string {
  const firsts = outcomes.flatMap(({ first }) => first ?? []).sort((a, b) => a - b);
  const median = firsts[Math.floor(firsts.length / 2)] ?? 0;
  return `# Planted bugs

Checkers that never fail prove nothing. Each line is a small wrong edit of \`src/core\`, planted in a copy and run under the
simulator, seed after seed from 0, until checkers caught it three times, or once where that takes more than 100 seeds.

${firsts.length} of ${outcomes.length} are caught: half of them within ${median} seeds, the last one after ${firsts.at(-1) ?? 0}.

Written by \`npm run sim:bugs -- --write\`; the edits are in \`sim/bugs/\`. \`npm run sim:bugs -- --only NAME\` hunts for one.
The promises are those of \`PROMISES.md\`; \`C\` is the managers' own agreement, \`assert\` an assertion of the core itself.

| bug | what is wrong | in | breaks | scenario | seeds to the first catch | caught by | seeds run |
|---|---|---|---|---|---|---|---|
${outcomes.map(row).join('\n')}
`;
}
