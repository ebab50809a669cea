// The pages about the code name what is there: a name that links to a file is declared in it.
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

/** `[\`name\`](../file.ts)`: names of code, not of files. */
const named = (text: string) =>
  [...text.matchAll(/\[`(\w+)`\]\(\.\.\/([^)#]+)\)/g)].map(([, name, path]) => ({ name, path }))

const undeclared = ({ name, path }: { name: string; path: string }) =>
  !statSync(join(root, path)).isDirectory() &&
  !new RegExp(`^export (?:default )?(?:async )?(?:function\\*?|class|const|interface|type) ${name}\\b`, 'm').test(
    read(path),
  )

describe('the names that link to code', () => {
  it.each(['docs/architecture.md', 'docs/extending.md'])('of %s are declared there', (page) => {
    const names = named(read(page))
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter(undeclared)).toEqual([])
  })

  it('that are not there would be found', () => {
    expect(undeclared({ name: 'Cat', path: 'src/errors.ts' })).toBe(true)
    expect(undeclared({ name: 'RingfenceError', path: 'src/errors.ts' })).toBe(false)
  })
})
