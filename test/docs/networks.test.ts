// The network files of docs/networks.md are files that the package reads.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'

const text = readFileSync(new URL('../../docs/networks.md', import.meta.url), 'utf8')
const examples = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => json)

describe('docs/networks.md', () => {
  it('has an example of every part', () => {
    expect(examples).toHaveLength(5)
  })

  it.each(examples.map((json) => [JSON.parse(json).name as string, json]))('%s', (name, json) => {
    expect(parseArchitecture(json).name).toBe(name)
  })
})
