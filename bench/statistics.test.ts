import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latency, median, pairwise, quantile, sorted, spread } from './statistics.ts';

void test('a quantile is one of the values, by nearest rank', () => {
  const ten = sorted([10, 1, 9, 2, 8, 3, 7, 4, 6, 5]);
  assert.equal(quantile(ten, 0.5), 5);
  assert.equal(quantile(ten, 0.9), 9);
  assert.equal(quantile(ten, 0.91), 10);
  assert.equal(quantile(ten, 0), 1);
  assert.equal(quantile(sorted([7]), 0.999), 7);
});

void test('numbers are ordered as numbers', () => {
  assert.deepEqual([...sorted([100, 20, 3])], [3, 20, 100]);
});

void test('the median of an even count lies between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([3, 1, 2]), 2);
});

void test('a spread tells the extremes of the rounds', () => {
  assert.deepEqual(spread([0.7, 0.5, 0.6]), { median: 0.6, least: 0.5, most: 0.7 });
});

void test('ratios are taken round by round, not of the medians', () => {
  const ratio = pairwise([1, 20, 3], [2, 40, 3], (a, b) => a / b);
  assert.deepEqual(ratio, { median: 0.5, least: 0.5, most: 1 });
});

void test('nothing measured is NaN, never zero', () => {
  assert.ok(Number.isNaN(latency([]).p99));
  assert.ok(Number.isNaN(median([])));
});
