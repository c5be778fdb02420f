import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { followUntil } from '../harness/follow.ts'
import { runJob } from '../harness/job.ts'
import { createOutside, type Outside } from '../harness/outside.ts'
import { type Platform, startPlatform } from '../harness/platform.ts'

let platform: Platform
let outside: Outside

before(async () => {
  outside = await createOutside()
  platform = await startPlatform({ RGRID_EGRESS_ALLOW: `${outside.allowedPrivate}:${outside.port}` })
})
after(async () => {
  await platform?.stop()
  await outside?.close()
})

const bash = (script: string, change = {}) => runJob(platform, { runtime: 'bash', code: script, files: { outputs: [] }, ...change })
const python = (script: string, change = {}) => runJob(platform, { runtime: 'python:3.11', code: script, files: { outputs: [] }, ...change })

test('a job without network has nothing but its own loopback', async () => {
  const { stdout } = await python(`
import os, socket
print(sorted(os.listdir('/sys/class/net')))
for target in [('${outside.ordinary}', ${outside.port}), ('${outside.host}', ${outside.port}), ('${outside.metadata}', 80)]:
    try:
        socket.create_connection(target, 3); print('REACHED', target)
    except OSError as e:
        print('refused', e.errno)
`)
  assert.equal(stdout, "['lo']\nrefused 101\nrefused 101\nrefused 101\n")
})

test('a job is not root, has no capability and can gain none', async () => {
  const { stdout, job } = await bash("id -u; id -g; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status")
  assert.deepEqual(
    stdout.split('\n').map((line) => line.replace(/\s+/g, ' ').trim()),
    [
      '65534',
      '65534',
      'CapInh: 0000000000000000',
      'CapPrm: 0000000000000000',
      'CapEff: 0000000000000000',
      'CapBnd: 0000000000000000',
      'CapAmb: 0000000000000000',
      'NoNewPrivs: 1',
      'Seccomp: 2',
      '',
    ],
  )
  assert.equal(job.state, 'succeeded')
})

test('the root file system cannot be written; the work folder and /tmp can', async () => {
  const { stdout } = await bash(`
for path in / /etc /usr /var /root /home /opt /run /proc/sys/kernel /sys/fs/cgroup; do touch $path/x 2>/dev/null && echo "WROTE $path"; done
touch /work/x /tmp/x && echo fine
mount -t tmpfs none /mnt 2>/dev/null && echo MOUNTED
mknod /tmp/d b 8 0 2>/dev/null && echo DEVICE
unshare -U true 2>/dev/null && echo UNSHARED
exit 0`)
  assert.equal(stdout, 'fine\n')
})

test('a fork bomb is stopped by the limit of processes, and the node lives on', async () => {
  const { stdout } = await python(`
import os, time
count = 0
try:
    while count < 5000:
        if os.fork() == 0:
            time.sleep(30); os._exit(0)
        count += 1
except BlockingIOError:
    print('stopped', count < 512, flush=True)
os.kill(0, 9)
`)
  assert.equal(stdout, 'stopped True\n')
  const { job } = await bash('true')
  assert.equal(job.state, 'succeeded')
})

test('more memory than allowed kills the job, and it is told as oom', async () => {
  const { job } = await python('x = []\nwhile True: x.append(bytearray(1 << 20))', { resources: { memory: '64Mi' } })
  assert.deepEqual([job.state, job.cause, job.exitCode], ['failed', 'oom', 137])
  assert.match(job.message ?? '', /memory/)
})

test('an out-of-memory child of a job that ends well is not told as oom', async () => {
  const { job } = await bash('tail /dev/zero 2>/dev/null; echo survived', { resources: { memory: '64Mi' } })
  assert.deepEqual([job.state, job.cause], ['succeeded', 'exit'])
})

test('nothing of another job that runs beside it can be seen', async () => {
  const secret = `secret-${Math.random()}`
  const submitted = await platform.api('POST', '/v1/projects/default/jobs', {
    spec: {
      runtime: 'bash',
      code: `echo ${secret} > mine.txt; echo ${secret} > /tmp/mine; echo ${secret} > /dev/shm/mine; echo begun; exec -a ${secret} sleep 300`,
      env: { TOKEN: secret },
      network: true,
    },
  })
  const { id } = (await submitted.json()) as { id: string }
  await followUntil(platform, id, /begun\\n/)
  const { stdout } = await python(
    `
import os
seen = []
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ('cmdline', 'environ'):
        try: seen.append(open(f'/proc/{pid}/{name}').read())
        except OSError: pass
for folder in ('/work', '/tmp', '/dev/shm', '/var/lib', '/run', '/'):
    for base, dirs, files in os.walk(folder):
        dirs[:] = [d for d in dirs if os.path.join(base, d) not in ('/proc', '/sys', '/usr', '/dev')]
        for f in files:
            try: seen.append(open(os.path.join(base, f), errors='replace').read(10000))
            except OSError: pass
print('PROCESSES', len([p for p in os.listdir('/proc') if p.isdigit()]) < 6)
print('SEEN', any('${secret}' in s for s in seen))
print('SOCKET', os.path.exists('/var/run/docker.sock'))
`.replace(`'${secret}'`, `${JSON.stringify([...secret].reverse().join(''))}[::-1]`),
    { network: true },
  )
  assert.equal(stdout, 'PROCESSES True\nSEEN False\nSOCKET False\n')
  await platform.api('POST', `/v1/jobs/${id}/cancel`)
})

test('with network: an ordinary address is reached; metadata, private and host addresses are not', async () => {
  const targets = { ...outside }
  const reach = async (address: string) =>
    fetch(`http://${address}:${outside.port}/`, { signal: AbortSignal.timeout(20_000) }).then((response) => response.text())
  // The stand-ins answer this machine itself, so that a job that is refused is refused by the rules.
  for (const address of [targets.ordinary, targets.metadata, targets.privateAddress, targets.allowedPrivate, targets.host])
    assert.equal(await reach(address), `reached ${address}`)
  const { stdout, job } = await python(
    `
import socket, subprocess
gateway = [l.split() for l in open('/proc/net/route')][1:]
gateway = next(socket.inet_ntoa(bytes.fromhex(l[2])[::-1]) for l in gateway if l[1] == '00000000')
def reach(address, port=${outside.port}):
    try:
        s = socket.create_connection((address, port), 20)
        s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
        return 'reached' if b'reached' in s.recv(1000) else 'open'
    except OSError as e:
        return 'refused'
for name, address in ${JSON.stringify(Object.entries({ ordinary: targets.ordinary, metadata: targets.metadata, private: targets.privateAddress, allowed: targets.allowedPrivate, host: targets.host }))}:
    print(name, reach(address))
print('bridge', [reach(gateway, p) for p in (22, 111, 2375, ${new URL(platform.apiUrl).port})])
`,
    { network: true },
  )
  assert.equal(job.state, 'succeeded', job.message ?? '')
  assert.equal(
    stdout,
    "ordinary reached\nmetadata refused\nprivate refused\nallowed reached\nhost refused\nbridge ['refused', 'refused', 'refused', 'refused']\n",
  )
})

test('input URLs with private, loopback and metadata addresses are refused, also behind a redirect', async () => {
  for (const url of [
    `http://${outside.metadata}/hetzner/v1/userdata`,
    `http://${outside.privateAddress}:${outside.port}/`,
    `${platform.apiUrl}/healthz`,
    platform.apiUrl.replace('127.0.0.1', 'localhost'),
    platform.apiUrl.replace('127.0.0.1', '[::1]'),
    platform.apiUrl.replace('127.0.0.1', '2130706433'),
  ]) {
    const { job } = await bash('cat x', { files: { inputs: [{ path: 'x', url }] } })
    assert.deepEqual([job.state, job.cause], ['failed', 'input'], url)
    assert.match(job.message ?? '', /x: .*may not be fetched from/, url)
  }
  // The range of the ordinary stand-in is reserved for documentation, which inputs may not come from either.
  const { stdout, job } = await bash('cat x', { files: { inputs: [{ path: 'x', url: `http://${outside.allowedPrivate}:${outside.port}/` }], outputs: [] } })
  assert.equal(stdout, `reached ${outside.allowedPrivate}`, job.message ?? '')
})
