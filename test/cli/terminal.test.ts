import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { describeFailure, reportFailure } from '../../src/cli/terminal/failure-report.js'
import { ProgressBar } from '../../src/cli/terminal/progress-bar.js'
import { byteSize, columnsOf, duration, median, painter, tableLines, wrapped } from '../../src/cli/terminal/terminal.js'
import { RingfenceError } from '../../src/errors.js'

function sink(isTTY: boolean, columns = 80) {
  const out = { text: '', isTTY, columns, write: (text: string) => (out.text += text) !== '' }
  return out as typeof out & Parameters<typeof painter>[0]
}

describe('output', () => {
  it('is coloured on a terminal only, and not where NO_COLOR asks for none', () => {
    expect(painter(sink(true), {})('red', 'x')).toBe('\x1b[31mx\x1b[39m')
    expect(painter(sink(false), {})('red', 'x')).toBe('x')
    expect(painter(sink(true), { NO_COLOR: '1' })('red', 'x')).toBe('x')
    expect(painter(sink(true), { TERM: 'dumb' })('red', 'x')).toBe('x')
  })

  it('aligns cells whatever their colours', () => {
    const paint = painter(sink(true), {})
    const columns = [{ head: 'a' }, { head: 'number', align: 'right' as const }]
    const rows = [
      [paint('red', 'long name'), '1'],
      ['x', '1,000'],
    ]
    expect(tableLines(columns, rows, (_, text) => text)).toEqual([
      '  a          number',
      `  ${paint('red', 'long name')}       1`,
      '  x           1,000',
    ])
  })

  it('breaks lines at spaces', () => {
    expect(wrapped('one two three four', 10, '  ')).toBe('  one two\n  three\n  four')
    expect(wrapped('unbreakable-and-long', 5)).toBe('unbreakable-and-long')
    expect(wrapped('it takes 21.2 ms', 14)).toBe('it takes\n21.2 ms')
    expect(wrapped('all of 1, 2, 3, 4', 14)).toBe('all of 1, 2,\n3, 4')
  })

  it('writes sizes, times and medians a person can read', () => {
    expect([0, 999, 1000, 999_949, 999_950, 4.2e7].map(byteSize)).toEqual(
      ['0 B', '999 B', '1.0 kB', '999.9 kB', '1.00 MB', '42.00 MB'], // decimal units
    )
    expect([0.04, 8.26, 99.94, 240, 999.6].map(duration)).toEqual(['0.0 ms', '8.3 ms', '99.9 ms', '240 ms', '1.00 s'])
    expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5])
    expect([columnsOf(sink(false)), columnsOf(sink(true, 72))]).toEqual([80, 72])
  })
})

describe('the progress bar', () => {
  it('is one line that is redrawn on a terminal, and leaves nothing behind', () => {
    const out = sink(true, 60)
    const bar = new ProgressBar(out)
    bar.update(0.5, 'working', 'a layer with a name that is far too long for this narrow terminal')
    const drawn = out.text.split('\r\x1b[2K').at(-1)!
    expect(drawn).toContain('50 %')
    expect(out.text).not.toContain('\n')
    bar.clear()
    expect(out.text.endsWith('\r\x1b[2K\x1b[?25h')).toBe(true)
  })

  it('is a line per stage elsewhere', () => {
    const out = sink(false)
    const bar = new ProgressBar(out)
    for (const [done, stage] of [
      [0, 'one'],
      [0.2, 'one'],
      [0.4, 'two'],
    ] as const)
      bar.update(done, stage, 'detail')
    bar.clear()
    expect(out.text).toBe('one …\ntwo …\n')
  })
})

describe('a failure', () => {
  it('of very many problems shows the first and the last', () => {
    const many = Array.from({ length: 200 }, (_, i) => `problem ${i + 1}`)
    const err = sink(true)
    reportFailure(new RingfenceError('BAD_FILE', 'x has 200 problems:', many), false, { out: sink(false), err })
    const lines = stripVTControlCharacters(err.text).trimEnd().split('\n').slice(2)
    expect(lines.slice(-3)).toEqual(['  - problem 11', '  - … 188 more; --json has all …', '  - problem 200'])
    expect(lines).toHaveLength(13)
  })

  it('of very many problems shows all where a program reads them', () => {
    const many = Array.from({ length: 200 }, (_, i) => `problem ${i + 1}`)
    const err = sink(false)
    reportFailure(new RingfenceError('BAD_FILE', 'x has 200 problems:', many), false, { out: sink(false), err })
    expect(err.text.trimEnd().split('\n').slice(2)).toEqual(many.map((problem) => `  - ${problem}`))
  })

  const error = new RingfenceError('BAD_FILE', 'x.json has 2 problems:', ['first', 'second'])

  it('is a block with code, message and problems', () => {
    const [out, err] = [sink(false), sink(false)]
    reportFailure(error, false, { out, err })
    expect(err.text).toBe('error BAD_FILE\n  x.json has 2 problems:\n  - first\n  - second\n')
    expect(out.text).toBe('')
  })

  it('keeps words whole on a terminal, behind the sign of a problem', () => {
    const err = Object.assign(sink(true), { columns: 24 })
    reportFailure(new RingfenceError('BAD_FILE', 'two:', ['one that is longer than a line', 'b']), false, {
      out: err,
      err,
    })
    const lines = stripVTControlCharacters(err.text).split('\n')
    expect(lines.slice(2)).toEqual(['  - one that is longer', '    than a line', '  - b', ''])
  })

  it('is one object with --json', () => {
    const [out, err] = [sink(false), sink(false)]
    reportFailure(error, true, { out, err })
    const expected = { code: 'BAD_FILE', message: 'x.json has 2 problems:', problems: ['first', 'second'] }
    expect(JSON.parse(out.text)).toEqual({ error: expected })
    expect(err.text).toBe('')
  })

  it('of another kind is called a fault of the program', () => {
    expect(describeFailure(new TypeError('oops'))).toMatchObject({ code: 'INTERNAL', problems: [] })
  })
})
