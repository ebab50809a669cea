// The guides' programs are TypeScript too: they pass the compiler under the settings of Vite's vanilla-ts template.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readGuide, root, workspace } from './guides.js'

/** As `npm create vite -- --template vanilla-ts` makes it; beside it Node's types, and `await using`. */
const TSCONFIG = {
  compilerOptions: {
    ...{ target: 'ES2022', useDefineForClassFields: true, module: 'ESNext', skipLibCheck: true },
    ...{ lib: ['ES2022', 'DOM', 'DOM.Iterable', 'ESNext.Disposable'], types: ['vite/client', 'node'] },
    ...{ moduleResolution: 'bundler', allowImportingTsExtensions: true, verbatimModuleSyntax: true },
    ...{ moduleDetection: 'force', noEmit: true },
    ...{ strict: true, noUnusedLocals: true, noUnusedParameters: true, erasableSyntaxOnly: true },
    ...{ noFallthroughCasesInSwitch: true, noUncheckedSideEffectImports: true },
  },
  include: ['src'],
}
/** What other hosts than browsers and Node have by themselves. */
const HOSTS = `declare const Bun: { argv: string[]; file(path: string): { bytes(): Promise<Uint8Array> } }
declare const Deno: { args: string[] }
`

const read = (file: string) => readFileSync(join(root, 'src', file), 'utf8')
const SOURCES = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.ts$/.test(file),
)

/** The classes that the entry points export, each with an example at its declaration. */
const CLASSES = SOURCES.flatMap((file) =>
  [...read(file).matchAll(/^export class (\w+)/gm)].map(([, name]) => [name, file] as const),
).filter(([name]) =>
  SOURCES.some((file) => {
    const exported = [...read(file).matchAll(/^export \{([^}]*)\} from/gm)].map(([, names]) => names).join()
    return !/[/\\]/.test(file) && new RegExp(`(?<!type )\\b${name}\\b`).test(exported)
  }),
)

function exampleOf(name: string, file: string): string {
  const text = read(file)
  const comment = text
    .slice(0, text.search(new RegExp(`^export class ${name}\\b`, 'm')))
    .split('/**')
    .at(-1)!
  const [, code] = /@example\n \* ```ts\n([\s\S]*?)^ \* ```$/m.exec(comment) ?? []
  if (code === undefined) throw new Error(`${file}: ${name} has no example`)
  return code.replace(/^ \* ?/gm, '')
}

let folder: string
const programs: string[] = []

beforeAll(() => {
  folder = workspace({ name: '', files: new Map(), commands: [] })
  mkdirSync(join(folder, 'src'))
  const put = (name: string, text: string) => {
    programs.push(name)
    writeFileSync(join(folder, 'src', `${name}.ts`), text)
  }
  for (const guide of readdirSync(join(root, 'docs/hosts'))) {
    // What an edge function is given has its host's type, not one of ours.
    if (guide === 'edge.md') continue
    for (const [file, text] of readGuide(guide).files) {
      if (/\.m?js$/.test(file)) put(`${basename(guide, '.md')}-${file.replace(/\.m?js$/, '')}`, text)
    }
  }
  for (const file of readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.mjs'))) {
    put(basename(file, '.mjs'), readFileSync(join(root, 'examples', file), 'utf8'))
  }
  for (const [name, file] of CLASSES) put(`class-${name}`, exampleOf(name, file))
  writeFileSync(join(folder, 'src/hosts.d.ts'), HOSTS)
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function complaints(): string {
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], { stdio: 'pipe' })
    return ''
  } catch (error) {
    return String((error as { stdout: Buffer }).stdout)
  }
}

it('every program of the guides and the examples passes', () => {
  expect(programs).toEqual(
    expect.arrayContaining(['browser-main', 'node-client', 'express', 'hono', 'class-ThinClient']),
  )
  expect(complaints()).toBe('')
})

it('one that is wrong would be found', () => {
  writeFileSync(
    join(folder, 'src/wrong.ts'),
    "import { Client } from 'ringfence'\nawait Client.create({ server: 7 })\n",
  )
  expect(complaints()).toMatch(/\/wrong\.ts\(2,\d+\): error TS/)
})
