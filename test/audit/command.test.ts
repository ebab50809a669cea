// `ringfence audit`: its table, its page with pictures, its JSON without.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { audit } from '../../src/cli/commands/audit.js'
import { onTerminal, run } from '../cli/in-process.js'
import { writeDigits } from '../train/digits.js'

let dir: string
let images: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-audit-'))
  images = writeDigits(dir, 'few', 3)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const few = ['--pictures', '10', '--recorded', '16', '--steps', '10']

it('shows a table that fits, and a page with the pictures', async () => {
  const page = join(dir, 'audit.html')
  const lines = (await onTerminal(80, audit, 'mnist-cnn3', '--images', images, ...few, '--html', page)).split('\n')
  expect(lines.filter((line) => [...line].length > 80)).toEqual([])
  expect(lines.at(-2)).toMatch(/next npx ringfence demo --model mnist-cnn3/)
  expect(lines.join('\n')).toMatch(/✓ none of \d+ attacks on what parties see found anything/)
  const html = readFileSync(page, 'utf8')
  expect(html.match(/data:image\/png;base64,/g)!.length).toBeGreaterThan(8 * 8)
  expect(html).toContain('x̂ under one mask for all')
})

it('gives figures to machines, and names what is wrong', async () => {
  const json = JSON.parse(await run(audit, 'mnist-cnn3', '--images', images, ...few, '--json'))
  expect(json).toMatchObject({
    network: 'mnist-cnn3',
    leaks: 0,
    recorded: 16,
    circumstances: { date: expect.any(String) },
    attacks: expect.any(Array),
  })
  expect(json.attacks[0]).toMatchObject({ target: 'control', by: 'inversion', verdict: { count: 10 } })
  expect(json.attacks[0].shown).toBeUndefined()
  await expect(run(audit, 'mnist-cnn3', '--images', images, '--recorded', '3')).rejects.toMatchObject({
    problems: [expect.stringContaining('--recorded')],
  })
})
