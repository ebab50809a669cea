// The other registry: the same entry points at the same version, and its own check finds nothing to refuse.
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { RUNTIMES, root } from '../docs/guides.js'

const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'))
const jsr = json('jsr.json')
const npm = json('package.json')

describe('jsr.json', () => {
  it('has the version and the licence of package.json', () => {
    expect([jsr.version, jsr.license]).toEqual([npm.version, npm.license])
    expect(jsr.name).toMatch(/^@[a-z-]+\/ringfence$/)
  })

  it('exports every entry point that is a module, with its types', () => {
    const modules = Object.entries<{ default?: string }>(npm.exports).filter(([, target]) => target.default)
    expect(jsr.exports).toEqual(Object.fromEntries(modules.map(([path, target]) => [path, target.default])))
    for (const path of Object.values<string>(jsr.exports)) {
      const types = path.replace('./dist/', './').replace('.js', '.d.ts')
      expect(readFileSync(join(root, path), 'utf8').split('\n')[0]).toBe(`/* @ts-self-types="${types}" */`)
      expect(existsSync(join(root, 'dist', types)), types).toBe(true)
    }
  })

  const { deno } = RUNTIMES
  const title = 'passes a dry run of publishing'
  it.skipIf(!deno)(deno ? title : `${title} (skipped: no deno binary for this platform)`, async () => {
    const args = ['publish', '--dry-run', '--allow-dirty', '--no-check']
    const { stderr } = await promisify(execFile)(deno!, args, { cwd: root, env: { ...process.env, NO_COLOR: '1' } })
    expect(stderr).toContain('Dry run complete')
    expect(stderr).not.toContain('unsupported-javascript-entrypoint')
    const files = [...stderr.matchAll(/file:\/\/\S+(?= )/g)].map(([url]) => relative(root, fileURLToPath(url)))
    expect(files).toEqual(expect.arrayContaining(['dist/index.js', 'dist/index.d.ts', 'dist/worker.js', 'README.md']))
    expect(files.filter((path) => /^(src|test|bench|node_modules)\//.test(path))).toEqual([])
    expect(files.filter((path) => /train\.py|distortion\.json/.test(path))).toEqual([])
  })
})
