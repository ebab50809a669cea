// What a page must have for people who do not see it, or not well: names, order, contrast. WCAG 2.2, by number.
import type { Page } from 'playwright-core'

/** Faults of the page as it stands, in words. */
export const faultsOf = async (page: Page): Promise<string[]> => [
  ...(await page.evaluate(structureFaults)),
  ...(await page.evaluate(contrastFaults)),
]

/** Runs in the page: 1.1.1 alternatives, 1.3.1 structure, 2.4.6 and 4.1.2 names, 3.1.1 language. */
function structureFaults(): string[] {
  const faults: string[] = []
  const all = <E extends Element>(selector: string) => [...document.querySelectorAll<E>(selector)]
  const expect = (holds: unknown, what: string) => {
    if (!holds) faults.push(what)
  }
  expect(document.documentElement.lang, 'the page has no language')
  expect(document.title, 'the page has no title')
  expect(all('main').length === 1, 'there is not one main part')
  for (const input of all<HTMLInputElement>('input, select')) {
    expect(
      [...(input.labels ?? [])].some((label) => label.textContent),
      `input ${input.id || input.name} has no label`,
    )
  }
  for (const button of all('button')) expect(button.textContent?.trim(), `button ${button.id} has no name`)
  for (const image of all<HTMLImageElement>('img')) expect(image.alt, `image ${image.src} has no alternative text`)
  for (const canvas of all('canvas')) expect(canvas.getAttribute('aria-label'), `canvas ${canvas.id} has no name`)
  for (const section of all('section[aria-labelledby]')) {
    expect(document.getElementById(section.getAttribute('aria-labelledby')!), 'a section names no heading')
  }
  for (const cell of all('th')) expect(cell.getAttribute('scope'), `header cell ${cell.textContent} has no scope`)
  const ids = all('[id]').map(({ id }) => id)
  expect(new Set(ids).size === ids.length, 'an id is used twice')
  let level = 0
  for (const heading of all('h1, h2, h3, h4').filter((one) => one.checkVisibility())) {
    const next = Number(heading.tagName[1])
    expect(next <= level + 1, `heading “${heading.textContent}” skips a level`)
    level = next
  }
  expect(all('h1').length === 1, 'there is not one first heading')
  return faults
}

/** Runs in the page: 1.4.3, 4.5:1 for text on the colours that lie behind it. */
function contrastFaults(): string[] {
  const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true })!
  const over = (colors: readonly string[]) => {
    pen.clearRect(0, 0, 1, 1)
    for (const color of colors) {
      pen.fillStyle = color
      pen.fillRect(0, 0, 1, 1)
    }
    return [...pen.getImageData(0, 0, 1, 1).data.subarray(0, 3)]
  }
  const luminance = (channels: readonly number[]) => {
    const linear = channels.map((c) => (c <= 10 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
  }
  const faults = new Set<string>()
  for (const node of document.querySelectorAll('h1, h2, h3, p, li, th, td, label, legend, button, summary, code')) {
    if (!node.checkVisibility() || !node.textContent?.trim() || (node as HTMLButtonElement).disabled) continue
    const behind: string[] = []
    for (let at: Element | null = node; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor)
    const [text, ground] = [over([...behind, getComputedStyle(node).color]), over(behind)].map(luminance)
    const ratio = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05)
    if (ratio < 4.5)
      faults.add(`${node.tagName} “${node.textContent.trim().slice(0, 30)}”: contrast ${ratio.toFixed(2)}`)
  }
  return [...faults]
}
