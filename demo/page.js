() => {
    // what screen readers announce as it changes, and names of what gradio leaves unnamed
    for (const id of ["status", "taken", "tokens"]) document.getElementById(id)?.setAttribute("role", "status");
    document.querySelector("#take_over button").setAttribute(
        "aria-label", "Take over the settings of a picture: drop it here, or click to choose it");
    // below one another on a phone, the pictures would appear out of sight
    document.querySelector("#generate").addEventListener("click", () => {
        if (window.innerWidth < 768) {
            document.querySelector("#results").scrollIntoView({behavior: "smooth", block: "center"});
        }
    });
}
