/** Does this with each item, some of them at once, in their order; waits for all. */
export async function sideBySide<Item>(
  items: readonly Item[],
  width: number,
  each: (item: Item) => Promise<unknown>,
): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await each(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
