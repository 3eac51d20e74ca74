() => {
    const editors = {mask: "What is drawn anew, to be painted", worn_mask: "The garment, to be painted over"};
    for (const [id, name] of Object.entries(editors)) {
        const editor = document.getElementById(id);
        editor?.setAttribute("role", "group");
        editor?.setAttribute("aria-label", name);
    }
    document.getElementById("mask_note")?.setAttribute("role", "status");
    document.querySelectorAll("input[type=file]:not([aria-label])").forEach(
        input => input.setAttribute("aria-label", "Add a photo"));
    // gradio gives each radio button a name of its own, so that arrow keys would not go from one to the next
    document.addEventListener("focusin", event => {
        const group = event.target.type === "radio" && event.target.closest("fieldset");
        if (group) group.querySelectorAll("input").forEach(radio => radio.name = group.id || "radio");
    });
    // gradio calls them "Thumbnail 1 of 8"
    const name = () => document.querySelectorAll(".shelf .thumbnail-item").forEach(button =>
        button.setAttribute("aria-label", button.innerText.trim()));
    name();
    new MutationObserver(name).observe(document.body, {childList: true, subtree: true});
}
