// Tabs as the ARIA practices describe them: arrows move, Home and End jump, only the chosen tab is in the tab order.

/** Wires a `role="tablist"`; `onShow(panelId)` is called when a panel comes to the front. */
export function makeTabs(list, onShow) {
  const all = () => [...list.querySelectorAll('[role="tab"]')].filter((tab) => !tab.hidden);

  function select(tab, focus = false) {
    for (const other of list.querySelectorAll('[role="tab"]')) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
    onShow(tab.getAttribute("aria-controls"));
  }

  /** What a person chose is to be seen: below a picture the panel would open out of sight. */
  function choose(tab, focus) {
    select(tab, focus);
    document.getElementById(tab.getAttribute("aria-controls")).scrollIntoView({ block: "nearest" });
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest('[role="tab"]');
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const tabs = all();
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    choose(tabs[(to + tabs.length) % tabs.length], true);
  });

  return {
    select: (id, focus) => select(document.getElementById(id), focus),
    /** Shows or hides a tab; one that goes while it is chosen gives way to the first. */
    offer(id, on) {
      const tab = document.getElementById(id);
      tab.hidden = !on;
      if (!on && tab.getAttribute("aria-selected") === "true") select(all()[0]);
    },
  };
}
