// How the house is built: which folder may know which, and where the platform is let in.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * What each folder of src may import besides itself and errors.ts: kernels ← ring, random ← plan (model ← plan) ←
 * protocol ← party ← cli; float, the plain engine, stands beside plan and below it. Nobody imports upwards, and:
 *  - plan knows of kernels what shapes their cost: geometry and the tables of a comparison, no memory;
 *  - protocol speaks over a link but opens none: of net it sees types and phases;
 *  - convert reads the files of other programs, and knows only what a model is;
 *  - model reads files and pictures and knows nothing of secrecy; net moves bytes and knows nothing of tensors;
 *  - engine queues jobs for other machines and knows nothing of what is in them;
 *  - gradient is the float engine's way back, a job that tune's threads can do; train decides what to do with it;
 *  - audit attacks what parties see of private inferences in its own process, with gradients;
 *  - tune measures networks, also privately with parties in its own process, and reads no file;
 *  - files has the calls that do: whatever a command does is one of them, or one of tune and convert;
 *  - fleet is a helper's dealing on many machines: fronts ask for bundles, dealers bring them;
 *  - delegate is a client of a party's that lends its inferences; thin, who borrows them, loads no kernels;
 *  - the files directly in src are entry points of the package, which only gather names.
 */
const MAY_KNOW: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  ring: ['kernels'],
  random: ['kernels'],
  model: [],
  convert: ['model'],
  net: [],
  engine: ['net'],
  float: ['kernels', 'model'],
  gradient: ['kernels', 'model', 'float'],
  plan: ['kernels', 'model', 'ring', 'float'],
  tune: ['model', 'plan', 'kernels', 'ring', 'float', 'gradient', 'protocol', 'net', 'party'],
  train: ['model', 'plan', 'float', 'gradient', 'tune'],
  audit: ['model', 'kernels', 'gradient', 'plan', 'tune', 'train', 'protocol', 'party', 'net'],
  protocol: ['kernels', 'ring', 'random', 'plan', 'net'],
  party: ['kernels', 'ring', 'random', 'plan', 'protocol', 'net'],
  fleet: ['engine', 'net', 'party', 'plan', 'protocol', 'kernels', 'random'],
  files: ['model', 'convert', 'plan', 'tune', 'train', 'audit', 'net', 'engine'],
  delegate: ['net', 'party', 'plan', 'protocol', 'random'],
  thin: ['model', 'net', 'party', 'plan', 'protocol', 'random', 'ring'],
  operate: ['net', 'party', 'plan', 'protocol', 'files'],
  cli: [
    'operate',
    'engine',
    'fleet',
    'delegate',
    'thin',
    'protocol',
    'ring',
    'random',
    'model',
    'convert',
    'float',
    'plan',
    'tune',
    'train',
    'audit',
    'net',
    'party',
    'files',
  ],
}
const PLAN_OF_KERNELS = ['geometry', 'mcc']
const MAX_LINES = 400
const MAX_FILES = 16

interface Source {
  /** Path below src, with forward slashes. */
  path: string
  folder: string
  text: string
  /** The text without comments. */
  code: string
  imports: string[]
}

function sources(): Source[] {
  const src = join(root, 'src')
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return files
    .map((file) => file.split(sep).join('/'))
    .filter((path) => !path.endsWith('wasm.generated.ts'))
    .map((path) => {
      const text = readFileSync(join(src, path), 'utf8')
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
      const imports = [...code.matchAll(/(?:from|import)\s*\(?\s*'([\w@./:-]+)'/g)].map(([, name]) => name)
      return { path, folder: path.includes('/') ? path.split('/')[0] : '', text, code, imports }
    })
}

const all = sources()
const inFolder = (folder: string) => all.filter((file) => file.folder === folder)
/** The path below src that a relative import names. */
const target = (file: Source, name: string) => posix.join(dirname(file.path), name).replace(/\.js$/, '.ts')

describe('direction of knowledge', () => {
  test('every folder of src is in the table', () => {
    expect([...new Set(all.map(({ folder }) => folder))].filter(Boolean).sort()).toEqual(Object.keys(MAY_KNOW).sort())
  })

  test('docs/architecture.md shows this table', () => {
    const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
    const shown = [...page.matchAll(/^\| `(\w+)` \| [^|]* \| ([^|]*) \|$/gm)].map(([, room, names]) => [
      room,
      [...names.matchAll(/`(\w+)`/g)].map(([, name]) => name),
    ])
    expect(Object.fromEntries(shown)).toEqual(MAY_KNOW)
  })

  test.each(Object.keys(MAY_KNOW))('%s knows only what it may', (folder) => {
    const allowed = [folder, ...MAY_KNOW[folder], 'errors.ts']
    const faults = inFolder(folder).flatMap((file) =>
      file.imports
        .filter((name) => name.startsWith('.'))
        .map((name) => target(file, name))
        .filter((path) => !allowed.includes(path.split('/')[0]))
        .map((path) => `${file.path} imports ${path}`),
    )
    expect(faults).toEqual([])
  })

  test('errors.ts knows nobody', () => {
    expect(all.find(({ path }) => path === 'errors.ts')!.imports).toEqual([])
  })

  test('plan knows of kernels the shapes, not the memory', () => {
    const used = inFolder('plan').flatMap((file) => file.imports.map((name) => target(file, name)))
    const files = used.filter((path) => path.startsWith('kernels/')).map((path) => path.slice(8, -3))
    expect(files.filter((file) => !PLAN_OF_KERNELS.includes(file))).toEqual([])
  })

  test('protocol opens no connection', () => {
    const text = inFolder('protocol').flatMap(({ path, code }) =>
      /\b(connect|listen|memoryPair|messagePortChannel|webSocketChannel)\s*\(/.test(code) ? [path] : [],
    )
    expect(text).toEqual([])
  })

  test('entry points only gather: no class, no function of their own', () => {
    const own = inFolder('').filter(({ path, code }) => {
      return path !== 'errors.ts' && /^(export )?(async )?(class|function|const|let) /m.test(code)
    })
    expect(own.map(({ path }) => path)).toEqual([])
  })

  test('only kernels see addresses', () => {
    const seen = all.filter(({ folder, code }) => folder !== 'kernels' && /\.ptr\b|\.raw\.[a-z]\w*\(/.test(code))
    expect(seen.map(({ path }) => path)).toEqual([])
  })
})

describe('the platform', () => {
  const isHost = ({ path, folder }: Source) =>
    folder === 'cli' || folder === 'operate' || folder === 'files' || path.endsWith('.node.ts') || path === 'node.ts'

  test('is let in only by cli, operate, files and *.node.ts', () => {
    const faults = all
      .filter((file) => !isHost(file))
      .flatMap(({ path, code, imports }) => [
        ...imports.filter((name) => name.startsWith('node:')).map((name) => `${path} imports ${name}`),
        ...(code.match(/(?<![.\w])(process|Buffer|__dirname|__filename|require)(?=[.[(])/g) ?? []).map(
          (name) => `${path} uses ${name}`,
        ),
      ])
    expect(faults).toEqual([])
  })

  test('is not let in through the back door: what browsers import reaches no host file', () => {
    const byPath = new Map(all.map((file) => [file.path, file]))
    const reached = new Set<string>()
    const visit = (path: string) => {
      const file = byPath.get(path)
      if (!file || reached.has(path)) return
      reached.add(path)
      for (const name of file.imports) if (name.startsWith('.')) visit(target(file, name))
    }
    for (const entry of ['index.ts', 'server.ts', 'helper.ts', 'delegate.ts', 'thin.ts', 'plan.ts', 'testing.ts'])
      visit(entry)
    expect(reached.size).toBeGreaterThan(30)
    expect([...reached].filter((path) => isHost(byPath.get(path)!))).toEqual([])
  })

  test('gives randomness only through its CSPRNG, in one file', () => {
    expect(all.filter(({ code }) => /Math\.random/.test(code)).map(({ path }) => path)).toEqual([])
    const callers = all.filter(({ code }) => /getRandomValues\(|randomBytes\(|randomUUID\(/.test(code))
    expect(callers.map(({ path }) => path)).toEqual(['random/seed.ts'])
  })
})

describe('tidiness', () => {
  test(`no file of src, test or bench is longer than ${MAX_LINES} lines`, () => {
    const long = ['src', 'test', 'bench', 'assembly'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.endsWith('wasm.generated.ts'))
        .map((file) => join(root, folder, file))
        .filter((file) => readFileSync(file, 'utf8').split('\n').length - 1 > MAX_LINES),
    )
    expect(long.map((file) => relative(root, file))).toEqual([])
  })

  test(`no folder of src, test, bench or assembly holds more than ${MAX_FILES} sources`, () => {
    const folders = ['src', 'test', 'bench', 'assembly'].flatMap((top) => [
      top,
      ...readdirSync(join(root, top), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => relative(root, join(entry.parentPath, entry.name))),
    ])
    expect(folders.length).toBeGreaterThan(50)
    const sourcesIn = (folder: string) => readdirSync(join(root, folder)).filter((file) => file.endsWith('.ts'))
    expect(folders.filter((folder) => sourcesIn(folder).length > MAX_FILES)).toEqual([])
  })

  test('tests that replace modules share none with others', () => {
    const read = (file: string) => readFileSync(join(root, file), 'utf8')
    const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    const mocking = files.filter((file) => file.endsWith('.test.ts') && read(`test/${file}`).includes('\nvi.mock('))
    expect(mocking.length).toBeGreaterThan(3)
    const listed = read('vitest.config.ts')
    const name = (file: string) => file.split(sep).at(-1)!.replace('.test.ts', '')
    expect(mocking.filter((file) => !listed.includes(name(file)))).toEqual([])
  })

  test('the lock file names no host to download from', () => {
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/)
  })

  test.each(['helper', 'server', 'client'])('the README shows examples/node-%s.mjs word for word', (party) => {
    const example = readFileSync(join(root, 'examples', `node-${party}.mjs`), 'utf8')
    expect(example.trimEnd().split('\n').length).toBeLessThanOrEqual(15)
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain(`\`\`\`js\n${example.trimEnd()}\n\`\`\``)
  })

  test('what src imports is a runtime dependency', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const packageOf = (name: string) => name.split('/', name.startsWith('@') ? 2 : 1).join('/')
    const imported = all.flatMap(({ imports }) => imports).filter((name) => !/^(\.|node:)/.test(name))
    const used = new Set(imported.map(packageOf))
    expect([...used].filter((name) => !Object.hasOwn(dependencies, name))).toEqual([])
  })
})
