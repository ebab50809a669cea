// The files to deploy with: every metric they name exists, units and Dockerfile hold what they promise, the schema is that
// of the flags.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { validate } from 'dockerfile-utils'
import { describe, expect, test } from 'vitest'
import { delegate } from '../../src/cli/commands/services/delegate.js'
import { helper } from '../../src/cli/commands/services/helper.js'
import { serve } from '../../src/cli/commands/services/serve.js'
import { configSchema } from '../../src/cli/process/config-schema.js'
import { Metrics } from '../../src/operate/metrics.js'

const deploy = fileURLToPath(new URL('../../deploy/', import.meta.url))
const read = (file: string) => readFileSync(deploy + file, 'utf8')
const server = {
  registered: true,
  draining: false,
  sessions: 0,
  waiting: 0,
  store: { usedBytes: 0, limitBytes: 1 },
  memoryBytes: 0,
}
const registered = { usedBytes: 0, limitBytes: 1 }
const atHelper = { draining: false, connections: 0, registrations: 0, registered, memoryBytes: 0 }

const depth = { waiting: 0, leased: 0, dead: 0 }
const atDelegate = { connections: 2, prepared: 7, waiting: 3, memoryBytes: 5 }

async function known(): Promise<string> {
  const all = [
    { servers: () => [['m', server] as const] },
    { helper: () => atHelper, queue: async () => depth },
    { delegate: () => atDelegate },
  ].map(async (sources) => (await Metrics.create(sources)).registry.metrics())
  return (await Promise.all(all)).join('\n')
}

describe('metrics', () => {
  test('of a delegate are what it says of itself, and nothing until it has a server', async () => {
    let status: typeof atDelegate | undefined
    const { registry } = await Metrics.create({ delegate: () => status })
    expect(await registry.metrics()).toMatch(/^ringfence_prepared_inferences 0$/m)
    status = atDelegate
    const text = await registry.metrics()
    for (const line of ['connections 2', 'prepared_inferences 7', 'queue_length 3', 'wasm_memory_bytes 5'])
      expect(text).toContain(`\nringfence_${line}\n`)
  })

  test.each(['prometheus-rules.yml', 'grafana-dashboard.json'])('that %s names exist', async (file) => {
    const types = await known()
    const names = [...new Set(read(file).match(/\b(ringfence|process)_[a-z_]+/g))]
    expect(names.length).toBeGreaterThan(6)
    const missing = names.filter((name) => !types.includes(`# TYPE ${name.replace(/_bucket$/, '')} `))
    expect(missing).toEqual([])
  })

  test('have labels of which no value comes from a peer', async () => {
    const metrics = await Metrics.create({ servers: () => [['m', server]] })
    const peer = { principal: { name: 'anna' } }
    metrics.event({ kind: 'session', peer, milliseconds: 1 }, 'm')
    metrics.event({ kind: 'inference', peer, milliseconds: 1 }, 'm')
    metrics.event({ kind: 'inference', peer, milliseconds: 1, error: 'DEADLINE' }, 'm')
    metrics.refused('unauthorized')
    metrics.failed('PROTOCOL')
    const text = await metrics.registry.metrics()
    expect(text).toContain('ringfence_inferences_total{model="m",result="DEADLINE"} 1')
    expect(text).not.toContain('anna')
    const labels = new Set(
      [...text.matchAll(/^ringfence_\w+\{([^}]*)\}/gm)].flatMap(([, all]) => all.match(/\w+(?==)/g)!),
    )
    expect([...labels].sort()).toEqual(['code', 'le', 'model', 'phase', 'reason', 'result'])
  })
})

test('the dashboard is one, and its panels have figures', () => {
  const { panels, title } = JSON.parse(read('grafana-dashboard.json'))
  expect(title).toBe('ringfence')
  for (const { targets } of panels) expect(targets.length).toBeGreaterThan(0)
})

test('the published schema is that of the flags', () => {
  expect(JSON.parse(read('ringfence.schema.json'))).toEqual(configSchema([helper.flags, serve.flags, delegate.flags]))
})

test('the Dockerfile has no fault, ends as nobody in particular, and starts the program itself', () => {
  const text = read('Dockerfile')
  expect(validate(text)).toEqual([])
  expect(text.slice(text.lastIndexOf('FROM '))).toMatch(/^USER node$[\s\S]*^ENTRYPOINT \["node"/m)
})

describe.each(readdirSync(`${deploy}systemd`))('%s', (unit) => {
  test('gives no right that is not needed', () => {
    const text = read(`systemd/${unit}`)
    for (const line of [
      'DynamicUser=yes',
      'ProtectSystem=strict',
      'NoNewPrivileges=yes',
      'LimitCORE=0',
      'CapabilityBoundingSet=',
    ])
      expect(text.split('\n')).toContain(line)
    expect(text).toMatch(/ExecReload=.*-HUP/)
  })

  const analyze = '/usr/bin/systemd-analyze'
  test.skipIf(!existsSync(analyze))('is what systemd takes (skipped where there is no systemd-analyze)', () => {
    execFileSync(analyze, ['verify', '--man=no', '--generators=no', `${deploy}systemd/${unit}`], { stdio: 'pipe' })
  })
})
