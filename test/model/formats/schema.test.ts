// The JSON Schema of `arch/1` says what the reader takes.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { families } from '../../../src/model/families/index.js'
import { architectureSchema } from '../../../src/model/schema.js'

interface Form {
  readonly properties: Readonly<Record<string, { readonly enum?: readonly string[] }>>
  readonly required: readonly string[]
}
const [explicit, short] = architectureSchema().oneOf as readonly [Form, Form]

test('every field of the schema is one that the reader knows, and no other', () => {
  const file = Object.fromEntries(Object.keys(explicit.properties).map((name) => [name, null]))
  const unknown = (fields: object): string => {
    try {
      parseArchitecture(fields)
    } catch (error) {
      return (error as { problems: readonly string[] }).problems.filter((text) => text.includes('unknown field')).join()
    }
    return 'nothing'
  }
  expect(unknown(file)).toBe('')
  expect(unknown({ ...file, anything: 1 })).toMatch(/unknown field "anything"/)
})

test('the examples of the guide have the fields of one form', () => {
  const page = readFileSync(new URL('../../../docs/networks.md', import.meta.url), 'utf8')
  const files = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text]) => JSON.parse(text))
  expect(files.length).toBeGreaterThan(3)
  for (const file of files) {
    const form = 'layers' in file ? explicit : short
    expect(Object.keys(file).filter((name) => !Object.hasOwn(form.properties, name))).toEqual([])
    expect(form.required.filter((name) => !Object.hasOwn(file, name))).toEqual([])
  }
  expect(short.properties.family.enum).toEqual(Object.keys(families))
})
