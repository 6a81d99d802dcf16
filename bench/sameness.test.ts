import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request } from './job.ts';
import { Sameness } from './sameness.ts';

void test('a body may differ in times and row numbers from those before, and in nothing else', () => {
  const sameness = new Sameness();
  const step = { bytes: request('GET', '/a'), status: 200 };
  const body = (id: number, time: string, text: string): Buffer =>
    Buffer.from(JSON.stringify({ id, createdAt: time, text }));
  assert.ok(sameness.holds(step, body(1, '2026-01-02T03:04:05.678Z', 'x')));
  assert.ok(sameness.holds(step, body(22, '2027-01-02T03:04:05.678Z', 'x')));
  assert.ok(!sameness.holds(step, body(22, '2027-01-02T03:04:05.678Z', 'y')));
  assert.ok(!sameness.holds(step, Buffer.alloc(0)));
  assert.ok(sameness.holds({ bytes: request('GET', '/b'), status: 200 }, Buffer.alloc(0)), 'another request');
});
