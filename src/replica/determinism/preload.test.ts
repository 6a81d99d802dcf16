/**
 * Does the libc layer keep C1 to C3 (preload.c) for programs that are not Node? Real programs, and a small C
 * program compiled here for what no common tool does.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CLOCK_OFFSETS } from './clock.ts';
import { Sandbox, SKIP_LIBC, START_MS } from './testing.ts';

/** What the programs are compiled with. */
const COMPILER = 'cc';
const CXX_COMPILER = 'c++';

const PROBE = String.raw`
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static struct timespec soon(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  t.tv_nsec += 80000000;
  if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
  return t;
}

static double monotonic_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

#ifdef PHP
/* By which PHP is known. */
void php_execute_script(void) {}
#endif

/* As uniqid of PHP waits for it. */
static void next_microsecond(struct timeval *last) {
  struct timeval now;
  int reads = 0;
  do gettimeofday(&now, NULL);
  while (now.tv_sec == last->tv_sec && now.tv_usec == last->tv_usec && ++reads < 1000000);
  *last = now;
}

/* As Apache its PHP, long after it asked for the time; a new entry follows. */
static void load(const char *library) {
  struct timeval before;
  unsigned long turn = 1000;
  gettimeofday(&before, NULL);
  if (dlopen(library, RTLD_NOW | RTLD_GLOBAL) == NULL) exit(1);
  int page = open(getenv("SPARE_CLOCK"), O_WRONLY);
  if (pwrite(page, &turn, sizeof turn, ${CLOCK_OFFSETS.turn}) != sizeof turn) exit(1);
}

static void *other(void *mutex) {
  struct timespec t = soon(CLOCK_REALTIME);
  return (void *)(long)pthread_mutex_timedlock(mutex, &t);
}

static void *other_c11(void *mutex) {
  struct timespec t = soon(CLOCK_REALTIME);
  return (void *)(long)mtx_timedlock(mutex, &t);
}

static void *endless(void *nothing) {
  pause();
  return nothing;
}

static int wait_on(const char *how) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
  struct timespec wall = soon(CLOCK_REALTIME), mono = soon(CLOCK_MONOTONIC);
  pthread_mutex_lock(&mutex);
  if (!strcmp(how, "cond")) return pthread_cond_timedwait(&cond, &mutex, &wall);
  if (!strcmp(how, "cond-monotonic")) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&cond, &attributes);
    return pthread_cond_timedwait(&cond, &mutex, &mono);
  }
  if (!strcmp(how, "semaphore")) {
    sem_t semaphore;
    sem_init(&semaphore, 0, 0);
    return sem_timedwait(&semaphore, &wall) ? errno : 0;
  }
  if (!strcmp(how, "mutex")) {
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, other, &mutex);
    pthread_join(thread, &result);
    return (int)(long)result;
  }
  if (!strcmp(how, "c11-cond")) {
    cnd_t cnd;
    mtx_t mtx;
    cnd_init(&cnd), mtx_init(&mtx, mtx_plain), mtx_lock(&mtx);
    return cnd_timedwait(&cnd, &mtx, &wall) == thrd_timedout ? ETIMEDOUT : 0;
  }
  if (!strcmp(how, "c11-mutex")) {
    pthread_t thread;
    void *result;
    mtx_t mtx;
    mtx_init(&mtx, mtx_timed), mtx_lock(&mtx);
    pthread_create(&thread, NULL, other_c11, &mtx);
    pthread_join(thread, &result);
    return (int)(long)result == thrd_timedout ? ETIMEDOUT : 0;
  }
  if (!strcmp(how, "join") || !strcmp(how, "clock-join")) {
    pthread_t thread;
    pthread_create(&thread, NULL, endless, NULL);
    if (!strcmp(how, "join")) return pthread_timedjoin_np(thread, NULL, &wall);
    return pthread_clockjoin_np(thread, NULL, CLOCK_REALTIME, &wall);
  }
  if (!strcmp(how, "message")) {
    char name[32];
    snprintf(name, sizeof name, "/spare-%d", getpid());
    struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
    mqd_t queue = mq_open(name, O_CREAT | O_RDWR, 0600, &attributes);
    mq_unlink(name);
    return mq_timedreceive(queue, name, 8, NULL, &wall) < 0 ? errno : 0;
  }
  if (!strcmp(how, "sleep")) return clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &wall, NULL) == 0 ? ETIMEDOUT : 0;
  int word = 0;
  return syscall(SYS_futex, &word, 9 | 256, 0, &wall, NULL, -1) ? errno : 0;
}

int main(int count, char **parts) {
  if (!strcmp(parts[1], "wait")) {
    double start = monotonic_ms();
    int result = wait_on(parts[2]);
    printf("%s %.0f\n", result == ETIMEDOUT ? "timed-out" : strerror(result), monotonic_ms() - start);
  } else if (!strcmp(parts[1], "draw")) {
    for (int i = 0; i < 20000; i++) {
      unsigned long word;
      if (i % 2 ? getrandom(&word, 8, 0) != 8 : syscall(SYS_getrandom, &word, 8, 0) != 8) return 1;
      printf("%016lx\n", word);
    }
  } else if (!strcmp(parts[1], "clocks")) {
    struct timespec a, b, c;
    struct timeval d;
    clock_gettime(CLOCK_REALTIME_COARSE, &a);
    timespec_get(&b, TIME_UTC);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &c);
    gettimeofday(&d, NULL);
    printf("%ld %ld %ld %ld %ld %ld\n", a.tv_sec, b.tv_sec, c.tv_sec, d.tv_sec, time(NULL), b.tv_nsec);
  } else if (!strcmp(parts[1], "microseconds")) {
    struct timeval last = {0};
    if (count > 2) load(parts[2]);
    for (int i = 0; i < 3; i++) {
      next_microsecond(&last);
      printf("%ld%06ld ", last.tv_sec, last.tv_usec);
    }
  } else if (!strcmp(parts[1], "first")) {
    unsigned char block[64];
    if (getrandom(block, 64, 0) != 64) return 1;
    for (int i = 0; i < 64; i++) printf("%02x", block[i]);
  } else if (!strcmp(parts[1], "fopen")) {
    FILE *file = fopen("/dev/urandom", "rb");
    unsigned char block[64];
    if (fread(block, 1, 64, file) != 64) return 1;
    for (int i = 0; i < 64; i++) printf("%02x", block[i]);
  } else if (!strcmp(parts[1], "device")) {
    int file = open("/dev/urandom", O_RDONLY);
    unsigned char block[64];
    struct iovec halves[] = {{block, 32}, {block + 32, 32}};
    ssize_t size = 0;
    if (!strcmp(parts[2], "pread")) size = pread(file, block, 64, 0);
    else if (!strcmp(parts[2], "pread-on")) size = pread(file, block, 32, 0) + pread(file, block + 32, 32, 32);
    else if (!strcmp(parts[2], "pread64")) size = pread64(file, block, 64, 0);
    else if (!strcmp(parts[2], "readv")) size = readv(file, halves, 2);
    else if (!strcmp(parts[2], "preadv")) size = preadv(file, halves, 2, 0);
    else if (!strcmp(parts[2], "preadv64")) size = preadv64(file, halves, 2, 0);
    if (size != 64) return 1;
    for (int i = 0; i < 64; i++) printf("%02x", block[i]);
  } else if (!strcmp(parts[1], "accept")) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address, flag_size = sizeof(int);
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), at_once = -1;
    if (bind(server, (struct sockaddr *)&address, size) || listen(server, 1)) return 1;
    if (getsockname(server, (struct sockaddr *)&address, &size) || connect(client, (struct sockaddr *)&address, size)) return 1;
    getsockopt(accept(server, NULL, NULL), IPPROTO_TCP, TCP_NODELAY, &at_once, &flag_size);
    printf("%d\n", at_once);
  } else printf("%d %d\n", fsync(-1), fdatasync(-1));
  return 0;
}`;

void describe('the libc layer', { skip: SKIP_LIBC }, () => {
  let shared: Sandbox;
  let probe: string;
  before(() => {
    shared = new Sandbox();
    probe = join(shared.folder, 'probe');
    writeFileSync(`${probe}.c`, PROBE);
    execFileSync(COMPILER, ['-o', probe, `${probe}.c`, '-pthread']);
  });
  after(() => shared[Symbol.asyncDispose]());

  const SCRIPT =
    'date +%s.%N; head -c 16 /dev/urandom | od -x; dd if=/dev/urandom bs=16 count=1 2>/dev/null | od -x';
  async function look(entry: Parameters<Sandbox['set']>[0]): Promise<string> {
    shared.set(entry);
    return shared.run('libc', 'sh', ['-c', SCRIPT]);
  }

  void test('time and random bytes of ordinary programs are a function of the page', async () => {
    const first = await look({});
    assert.match(first, /^1700000000\.000000000\n/);
    assert.equal(await look({}), first);
    const otherSeed = await look({ seed: Buffer.alloc(32, 2) });
    const otherTime = await look({ index: 1, timeMs: START_MS + 1500 });
    assert.equal(otherSeed.split('\n')[0], first.split('\n')[0]);
    for (const line of [1, 3]) assert.notEqual(otherSeed.split('\n')[line], first.split('\n')[line]);
    assert.match(otherTime, /^1700000001\.500000000\n/);
  });

  void test('Python gets its time, its random numbers and its hash seed from the page', async (t) => {
    if (spawnSync('python3', ['-V']).status !== 0) return t.skip('no python3');
    const program =
      'import os,time,random,uuid;print(os.urandom(8),time.time(),random.random(),uuid.uuid4(),hash("a"))';
    const python = async (seed: number): Promise<string> => {
      shared.set({ seed: Buffer.alloc(32, seed) });
      return shared.run('libc', 'python3', ['-c', program]);
    };
    const first = await python(1);
    assert.equal(await python(1), first);
    assert.notEqual(await python(2), first);
  });

  void test('the stream is ChaCha20 with the seed as its key', async () => {
    // RFC 8439, A.1, test vector 1: key, nonce and counter zero.
    const expected = [
      '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7',
      'da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586',
    ].join('');
    shared.set({ seed: Buffer.alloc(32) });
    assert.equal(await shared.run('libc', probe, ['first']), expected);
  });

  void test('what stdio reads from the random device belongs to the seed as well', async () => {
    const read = async (seed: number): Promise<string> => {
      shared.set({ seed: Buffer.alloc(32, seed) });
      return shared.run('libc', probe, ['fopen']);
    };
    const first = await read(1);
    assert.equal(first.length, 128);
    assert.equal(await read(1), first);
    assert.notEqual(await read(2), first);
  });

  for (const how of ['pread', 'pread-on', 'pread64', 'readv', 'preadv', 'preadv64']) {
    void test(`so does what ${how} reads from it`, async () => {
      const read = async (seed: number): Promise<string> => {
        shared.set({ seed: Buffer.alloc(32, seed) });
        return shared.run('libc', probe, ['device', how]);
      };
      const first = await read(1);
      assert.equal(await read(1), first);
      assert.notEqual(await read(2), first);
      assert.notEqual(first.slice(0, 64), first.slice(64), 'one buffer is not like the other');
    });
  }

  const CXX_WAYS = {
    'random_device, which asks the processor where it can,':
      'std::random_device d; std::printf("%08x %08x", d(), d());',
    'streams on the random device':
      'std::ifstream f("/dev/urandom"); for (int i = 0; i < 2; i++) { char b[8]; f.read(b, 8); if (i) std::putchar(32); ' +
      'for (int j = 0; j < f.gcount(); j++) std::printf("%02x", b[j] & 255); }',
  };
  for (const [way, body] of Object.entries(CXX_WAYS)) {
    void test(`C++'s ${way} belong to the seed as well`, async (t) => {
      if (spawnSync(CXX_COMPILER, ['--version']).status !== 0) return t.skip('no C++ compiler');
      const program = join(shared.folder, 'device');
      const headers = ['cstdio', 'fstream', 'random'].map((name) => `#include <${name}>\n`);
      writeFileSync(`${program}.cc`, `${headers.join('')}int main() { ${body} }`);
      execFileSync(CXX_COMPILER, ['-o', program, `${program}.cc`]);
      const draw = async (seed: number): Promise<string> => {
        shared.set({ seed: Buffer.alloc(32, seed) });
        return shared.run('libc', program, []);
      };
      const first = await draw(1);
      assert.match(first, /^([0-9a-f]{8,16}) (?!\1)[0-9a-f]{8,16}$/);
      assert.equal(await draw(1), first);
      assert.notEqual(await draw(2), first);
    });
  }

  void test('two processes of a domain never draw the same bytes in one entry, one alone always the same', async () => {
    shared.set({});
    const outputs = await Promise.all([1, 2].map(() => shared.run('libc', probe, ['draw'])));
    const words = outputs.flatMap((output) => output.trim().split('\n'));
    assert.equal(words.length, 40_000);
    assert.equal(new Set(words).size, 40_000);
    shared.set({});
    const alone = await shared.run('libc', probe, ['draw']);
    shared.set({});
    assert.equal(await shared.run('libc', probe, ['draw']), alone);
  });

  void test('every wall clock of libc is the agreed one', async () => {
    shared.set({ timeMs: START_MS + 5 });
    assert.equal(await shared.run('libc', probe, ['clocks']), `${'1700000000 '.repeat(5)}5000000\n`);
  });

  for (const [how, isLoaded] of [
    ['PHP', false],
    ['PHP that a server loads', true],
  ] as const) {
    void test(`${how}, which waits for the next microsecond, gets it, another in each entry, the same each time`, async () => {
      const php = join(shared.folder, isLoaded ? 'php.so' : 'php');
      const as = isLoaded ? ['-shared', '-fPIC'] : ['-rdynamic'];
      execFileSync(COMPILER, ['-DPHP', ...as, '-o', php, `${probe}.c`, '-pthread']);
      const [program, parts] = isLoaded ? [probe, [php]] : [php, []];
      const entry = async (index: number): Promise<string[]> => {
        shared.set({ index });
        return (await shared.run('libc', program, ['microseconds', ...parts])).trim().split(' ');
      };
      const entries = [await entry(7), await entry(8)];
      assert.deepEqual([await entry(7), await entry(8)], entries);
      assert.equal(new Set(entries.flat()).size, 6);
      for (const at of entries.flat()) assert.equal(Math.trunc(Number(at) / 10_000), START_MS / 10);
    });
  }

  const LIBC_WAITS = [
    'cond',
    'cond-monotonic',
    'c11-cond',
    'mutex',
    'c11-mutex',
    'semaphore',
    'join',
    'clock-join',
    'message',
  ];
  for (const how of [...LIBC_WAITS, 'sleep', 'futex']) {
    void test(`a wait until a moment lasts as long as it should, whatever the agreed time is: ${how}`, async () => {
      for (const timeMs of [1_000_000_000_000, 4_000_000_000_000]) {
        shared.set({ timeMs });
        const [result, ms] = (await shared.run('libc', probe, ['wait', how])).split(' ');
        assert.equal(result, 'timed-out');
        assert.ok(Number(ms) >= 75 && Number(ms) < 2000, `${ms} ms instead of 80`);
      }
    });
  }

  void test('flushing to disk does nothing, and does again without a clock page', async () => {
    assert.equal(await shared.run('libc', probe, ['flush']), '0 0\n');
    const { SPARE_CLOCK: _, ...env } = shared.env('libc');
    assert.equal(execFileSync(probe, ['flush'], { env, encoding: 'utf8' }), '-1 -1\n');
  });

  void test('what a service writes to a client in pieces does not wait for acknowledgements in between', async () => {
    assert.equal(await shared.run('libc', probe, ['accept']), '1\n');
    const { SPARE_CLOCK: _, ...env } = shared.env('libc');
    assert.equal(execFileSync(probe, ['accept'], { env, encoding: 'utf8' }), '0\n');
  });

  void test('without a clock page everything passes through to libc', () => {
    const { SPARE_CLOCK: _, ...env } = shared.env('libc');
    const seconds = Number(execFileSync('date', ['+%s'], { env, encoding: 'utf8' }));
    assert.ok(Math.abs(seconds - Date.now() / 1000) < 5);
    const draws = [1, 2].map(() =>
      execFileSync('head', ['-c', '16', '/dev/urandom'], { env, encoding: 'hex' }),
    );
    assert.notEqual(draws[0], draws[1]);
  });

  void test('a program whose page cannot be mapped does not run', () => {
    const missing = join(shared.folder, 'missing');
    const { status, stderr } = spawnSync('date', { env: { ...shared.env('libc'), SPARE_CLOCK: missing } });
    assert.equal(status, 70);
    assert.match(stderr.toString(), /SPARE_CLOCK cannot be mapped/);
    rmSync(missing, { force: true });
  });
});
