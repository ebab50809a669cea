// The files a fleet is deployed with, as far as they can be checked without a cluster: accounts on a real broker, flags that
// exist, containers without rights.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { helper } from '../../src/cli/commands/services/helper.js'
import { serve } from '../../src/cli/commands/services/serve.js'
import { openNatsEngine } from '../../src/engine/nats.node.js'
import { Broker, noBroker } from '../engine/broker.js'
import { failure } from '../engine/failure.js'

const fleet = fileURLToPath(new URL('../../deploy/fleet/', import.meta.url))
const read = (file: string) => readFileSync(fleet + file, 'utf8')
const has = (program: string, ...args: string[]) => spawnSync(program, args, { stdio: 'ignore' }).status === 0
const noKubectl = has('kubectl', 'version', '--client') ? '' : ' (skipped: no kubectl on PATH)'

describe.skipIf(noBroker !== '')(`the accounts${noBroker}`, () => {
  const PASSWORDS = { FRONT_PASSWORD: 'of-the-front', DEALER_PASSWORD: 'of-the-dealer' }

  test('let fronts put and dealers take, neither the other, and nobody else anything', async () => {
    Object.assign(process.env, PASSWORDS)
    const broker = await Broker.start(read('k8s/helper-org/accounts.conf'))
    const login = (credentials: string | undefined, create: boolean) =>
      openNatsEngine(broker.url, { name: 'deal', credentials, create })
    const front = await login('front:of-the-front', true)
    const dealer = await login('dealer:of-the-dealer', false)
    expect(await front.jobs.put(new Uint8Array([7]), 'one')).toBe('queued')
    expect(await front.claims.create('front-one', new Uint8Array([1]))).toBe(true)
    expect(await front.claims.create('front-one', new Uint8Array([2]))).toBe(false)
    expect([...(await front.claims.get('front-one'))!]).toEqual([1])
    expect(await failure(dealer.claims.get('front-one'))).not.toBeNull()
    expect(await failure(dealer.jobs.put(new Uint8Array([8]), 'two'))).toMatchObject({ code: 'BUSY' })
    for await (const lease of dealer.jobs.take()) {
      expect([...lease.job]).toEqual([7])
      await lease.dead('looked at')
      break
    }
    expect((await dealer.jobs.depth()).waiting).toBe(0)
    const taking = front.jobs.take(AbortSignal.timeout(1500))
    await dealer.close()
    await front.jobs.put(new Uint8Array([9]), 'three')
    let got = 0
    await failure(
      (async () => {
        for await (const _ of taking) got++
      })(),
    )
    expect(got).toBe(0)
    for (const credentials of [undefined, 'front:guessed', 'stranger:of-the-front']) {
      expect(await failure(login(credentials, true))).toMatchObject({ code: 'UNAUTHORIZED' })
    }
    await front.close()
    await broker.end()
  })

  test('and the broker’s configuration are what nats-server takes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'rf-conf-'))
    const [key, cert] = [join(folder, 'tls.key'), join(folder, 'tls.crt')]
    const subject = ['-subj', '/CN=nats', '-days', '1']
    const algorithm = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    execFileSync('openssl', ['req', '-x509', ...algorithm, '-nodes', '-keyout', key, '-out', cert, ...subject], {
      stdio: 'ignore',
    })
    const conf = read('k8s/helper-org/nats.conf').replaceAll('/etc/nats/tls', folder).replace('/data', folder)
    writeFileSync(join(folder, 'nats.conf'), conf)
    writeFileSync(join(folder, 'accounts.conf'), read('k8s/helper-org/accounts.conf'))
    const options = { env: { ...process.env, ...PASSWORDS }, encoding: 'utf8' } as const
    const { stdout, stderr } = spawnSync('nats-server', ['-t', '-c', join(folder, 'nats.conf')], options)
    rmSync(folder, { recursive: true })
    expect(stdout + stderr).toMatch(/is valid/)
  })
})

/** Arguments of `helper` and `serve` in a YAML file that are no flags of theirs. */
function unknownFlags(text: string): string[] {
  const known = { helper: helper.flags, serve: serve.flags } as Record<string, object>
  const faults: string[] = []
  let command = ''
  for (const line of text.split('\n')) {
    const [, name] = /^\s*- (helper|serve)$/.exec(line) ?? []
    if (name) command = name
    const [, flag] = /^\s*- --([\w-]+)/.exec(line) ?? []
    if (flag && !Object.hasOwn(known[command] ?? {}, flag)) faults.push(`${command} --${flag}`)
  }
  return faults
}

test('compose.yaml gives flags that exist, and no container rights', () => {
  const text = read('compose.yaml')
  expect(text.match(/^ {6}- --/gm)!.length).toBeGreaterThan(10)
  expect(unknownFlags(text)).toEqual([])
  expect(unknownFlags('- helper\n- --colour=red')).toEqual(['helper --colour'])
  for (const bound of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true']) expect(text).toContain(bound)
})

describe.skipIf(noKubectl !== '').each(['helper-org', 'server-org'])(`k8s/%s${noKubectl}`, (base) => {
  const built = noKubectl ? '' : execFileSync('kubectl', ['kustomize', `${fleet}k8s/${base}`], { encoding: 'utf8' })
  const objects = built.split(/^---$/m)
  const kinds = objects.map((text) => /^kind: (\w+)/m.exec(text)?.[1])

  test('builds, with flags that exist', () => {
    expect(unknownFlags(built)).toEqual([])
    for (const kind of ['Deployment', 'NetworkPolicy', 'PodDisruptionBudget', 'Service']) expect(kinds).toContain(kind)
    expect(kinds).toContain(base === 'helper-org' ? 'ScaledObject' : 'HorizontalPodAutoscaler')
    expect(built).not.toMatch(/image: \S+:latest|image: [\w/.-]+$/m)
  })

  test('runs nothing with rights that are not needed', () => {
    const workloads = objects.filter((_, at) => ['Deployment', 'StatefulSet'].includes(kinds[at] ?? ''))
    expect(workloads.length).toBe(base === 'helper-org' ? 3 : 1)
    for (const text of workloads) {
      for (const bound of [
        'runAsNonRoot: true',
        'readOnlyRootFilesystem: true',
        'allowPrivilegeEscalation: false',
        'automountServiceAccountToken: false',
        'readinessProbe:',
        'memory:',
      ])
        expect(text).toContain(bound)
    }
  })

  test('lets nothing through that is not named', () => {
    const policies = objects.filter((_, at) => kinds[at] === 'NetworkPolicy')
    expect(policies.some((text) => /podSelector: \{\}/.test(text))).toBe(true)
    for (const text of policies) expect(text).toMatch(/- Ingress\n\s*- Egress/)
  })
})
