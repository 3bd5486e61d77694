"""What keeps searches going that nobody looks at: the services and machines that they depend on."""
