// What a user installs: the sources behind every file, no bench, no install script, and pages whose links lead somewhere.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
if (!existsSync(join(root, 'dist/index.js')))
  throw new Error('dist is missing: run npm run build, or npm test, which does')

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json'))
// On Windows npm is a script that only a shell can start.
const listing = execFileSync('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
  cwd: root,
  encoding: 'utf8',
  shell: process.platform === 'win32',
  stdio: ['ignore', 'pipe', 'pipe'],
})
const files: string[] = JSON.parse(listing)[0].files.map(({ path }: { path: string }) => path)

const REVIEWERS = /^docs\/(architecture|extending|kernels|performance|protocol)\.md$/

describe('the package', () => {
  it('holds what its manifest names, and neither benches nor tests', () => {
    const named = Object.values<string | { default: string; types: string }>(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : [target.default, target.types],
    )
    const wanted = [...named, ...Object.values<string>(manifest.bin)].map((path) => posix.normalize(path))
    expect(wanted.filter((path) => !files.includes(path))).toEqual([])
    expect(files.filter((path) => /^(bench|test|build|src|dist\/bench\.js)\b/.test(path))).toEqual([])
  })

  it('runs nothing when it is installed', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']
    expect(Object.keys(manifest.scripts).filter((name) => hooks.includes(name))).toEqual([])
  })

  it('has a map beside every script that leads to the TypeScript it was made from', () => {
    const scripts = files.filter((path) => path.startsWith('dist/') && path.endsWith('.js'))
    const own = new Set<string>()
    for (const path of scripts) {
      const code = read(path)
      expect(code.trimEnd().split('\n').at(-1), path).toBe(`//# sourceMappingURL=${posix.basename(path)}.map`)
      expect(files, path).toContain(`${path}.map`)
      const { sources, sourcesContent } = JSON.parse(read(`${path}.map`))
      expect(sourcesContent?.length ?? 0, path).toBe(sources.length)
      for (const [i, source] of sources.entries()) {
        const file = resolve(root, dirname(path), source)
        expect(existsSync(file), `${path}: ${source}`).toBe(true)
        expect(sourcesContent[i] === readFileSync(file, 'utf8'), `${path}: ${source} as it is`).toBe(true)
        own.add(relative(root, file).split(sep)[0])
      }
    }
    expect([...own].sort()).toEqual(['src'])
  })

  it('maps an error to its line', () => {
    const script = `import('./dist/index.js').then(({ connect, Client }) =>
      Client.create({ server: 'http://example.org', helper: 'http://example.org' })).catch(({ stack }) => console.log(stack))`
    const stack = execFileSync(process.execPath, ['--enable-source-maps', '-e', script], {
      cwd: root,
      encoding: 'utf8',
    })
    const [, path, line] = /[/\\](src[/\\]net[/\\]connect\.ts):(\d+):/.exec(stack)!
    expect(read(path).split('\n')[Number(line) - 1]).toMatch(/new RingfenceError/)
  })

  it("keeps the links of its pages alive; what leads to the code and its reviewers' pages is in the repository", () => {
    const pages = files.filter((path) => path.endsWith('.md'))
    expect(pages).toEqual(expect.arrayContaining(['README.md', 'SECURITY.md', 'CHANGELOG.md', 'docs/how-it-works.md']))
    const dead = pages.flatMap((page) => {
      const text = read(page)
        .replace(/^```[\s\S]*?^```$/gm, '')
        .replace(/`[^`\n]*`/g, '')
      const links = [...text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].map(([, link]) => link)
      return links
        .filter((link) => !/^(https?|mailto):/.test(link))
        .map((link) => posix.join(posix.dirname(page), link).replace(/\/$/, ''))
        .filter((path) => page === 'README.md' || !/^(src|assembly|test|bench|scripts|\.github|models)\b/.test(path))
        .filter((path) => page === 'README.md' || !REVIEWERS.test(path))
        .filter((path) => path !== 'CONTRIBUTING.md')
        .filter((path) => !files.some((file) => file === path || file.startsWith(`${path}/`)))
        .map((path) => `${page}: ${path}`)
    })
    expect(dead).toEqual([])
  })
})

describe('the supply chain', () => {
  it("of SECURITY.md is package.json's run-time dependencies", () => {
    const section = read('SECURITY.md')
      .split(/^## /m)
      .find((text) => text.startsWith('Supply chain'))!
    const rows = [...section.matchAll(/^\| (`.*?) \|/gm)].map(([, names]) => names)
    const listed = rows.flatMap((names) => [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name))
    expect(listed.sort()).toEqual(Object.keys(manifest.dependencies).sort())
  })

  it('has no install script and no native code', () => {
    const { packages } = JSON.parse(read('package-lock.json'))
    const reached = new Set<string>()
    const visit = (name: string) => {
      if (reached.has(name)) return
      reached.add(name)
      const { dependencies = {}, hasInstallScript } = packages[`node_modules/${name}`]
      expect(hasInstallScript, name).toBeUndefined()
      for (const next of Object.keys(dependencies)) visit(next)
    }
    for (const name of Object.keys(manifest.dependencies)) visit(name)
    expect(reached.size).toBeGreaterThanOrEqual(Object.keys(manifest.dependencies).length)
  })
})
