// What `--compare` of a bench refuses.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { baseline, worse } from '../../bench/inference/baseline.js'

const BASE = { network: 'n', guarded: false, ratio: { online: 2, offline: 4 }, online: { flights: 36, bytesUp: 100 } }

describe('a baseline', () => {
  test('takes the same, better, and ratios up to a tenth worse', () => {
    const now = { ...BASE, ratio: { online: 2.19, offline: 1 }, online: { flights: 35, bytesUp: 100 } }
    expect(worse(BASE, now, [])).toEqual([])
  })

  test('names everything that is worse, and what is no longer there or another', () => {
    const now = { network: 'm', guarded: false, ratio: { online: 2.21, offline: 4 }, online: { flights: 37 } }
    expect(worse(BASE, now as never, [])).toEqual([
      'network: m, was n',
      'ratio.online: 2.21, was 2.00',
      'online.flights: 37, was 36',
      'online.bytesUp: undefined, was 100',
    ])
  })

  test('is written and read again, and a file of anything else is refused', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'ringfence-')), 'base.json')
    baseline({ ...BASE, ratio: { online: 2.00049, offline: 4 } }, { save: file, compare: file })
    expect(JSON.parse(readFileSync(file, 'utf8')).ratio.online).toBe(2)
    const slower = { ...BASE, ratio: { online: 2.3, offline: 4 } }
    expect(() => baseline(slower, { compare: file })).toThrow(/worse than[\s\S]*ratio\.online: 2\.30, was 2\.00/)
    writeFileSync(file, 'no JSON')
    expect(() => baseline(BASE, { compare: file })).toThrow(/expected what --save has written/)
  })
})
