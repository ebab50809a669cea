// The tables of messages in docs/protocol.md are those that the gadgets' lists of messages make.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { PAGE, withMessageTables } from '../../scripts/message-tables.js'

test('docs/protocol.md shows every message as the code lists it; `npm run docs:messages` writes them', () => {
  const page = readFileSync(join(fileURLToPath(new URL('../..', import.meta.url)), PAGE), 'utf8')
  expect(withMessageTables(page)).toBe(page)
  // A digit that somebody changed by hand is put right.
  const changed = page.replace('| 24D + 2ℓD |', '| 24D + 3ℓD |')
  expect(changed).not.toBe(page)
  expect(withMessageTables(changed)).toBe(page)
})
